//! Posts, turns and replies.

use expect_test::expect;

use super::script::check;

#[test]
fn a_request_from_outside_is_answered() {
    check(
        r#"
        deploy a
        post c -> a request {"say": "hello"}
        turn a ok reply inform {"said": "HELLO"}
        show conversation c-0-4
        "#,
        expect![[r#"
            deploy a
              run a 1 init Deploy
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
            post c -> a request {"say": "hello"}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"say": "hello"} conv=c-0-4
            turn a ok reply inform {"said": "HELLO"}
              journal 0-5 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"said":"HELLO"} conv=c-0-4 re=c-0-4
              host answered reply=0
            show conversation c-0-4
              c:request a:inform
        "#]],
    );
}
