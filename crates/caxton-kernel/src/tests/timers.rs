//! Timers.

use expect_test::expect;

use super::script::check;

#[test]
fn a_timer_fires_when_it_is_due() {
    check(
        r#"
        deploy a init=ok
        post c -> a request
        turn a ok timer 10s ; timer 5s ; timer 20s ; cancel 3 ; cancel 9
        show a
        tick 5s
        turn a ok
        tick 5s
        turn a ok
        show a
        tick 10s
        "#,
        expect![[r#"
            deploy a init=ok
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            turn a ok timer 10s ; timer 5s ; timer 20s ; cancel 3 ; cancel 9
              journal 0-5 turn 2 returned 0
              host answered timer=1 timer=2 timer=3 cancel=0 cancel=-1
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [1, 2] subscriptions 0 state 0
            tick 5s
              run a 3 timer 2
            turn a ok
              journal 0-6 turn 3 returned 0
            tick 5s
              run a 4 timer 1
            turn a ok
              journal 0-7 turn 4 returned 0
            show a
              Running version 1.0.0 turns 4 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            tick 10s
        "#]],
    );
}

#[test]
fn a_faulted_timer_turn_uses_the_timer_up() {
    check(
        r#"
        deploy a
        post c -> a inform
        turn a ok timer 1s
        tick 1s
        turn a trap timer 1s
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok timer 1s
              journal 0-5 turn 2 returned 0
              host answered timer=1
            tick 1s
              run a 3 timer 1
            turn a trap timer 1s
              event a faulted: trap: the guest met its trap
              journal 0-6 turn 3 fault trap
              host answered timer=2
            show a
              Running version 1.0.0 turns 3 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn timers_of_an_init_replace_those_of_the_one_before() {
    check(
        r#"
        deploy a init=hold
        turn a ok timer 10s ; subscribe {}
        post c -> a inform
        turn a ok timer 20s ; subscribe {}
        post c -> a inform
        turn a trap
        post c -> a inform
        turn a ok timer 30s ; timer 40s ; subscribe {}
        turn a ok
        show a
        "#,
        expect![[r#"
            deploy a init=hold
              run a 1 init Deploy
            turn a ok timer 10s ; subscribe {}
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
              host answered timer=1 subscribe=1
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok timer 20s ; subscribe {}
              journal 0-5 turn 2 returned 0
              host answered timer=2 subscribe=2
            post c -> a inform
              journal 0-6 posted [inform agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 message c -> a inform null conv=c-0-6
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-7 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-6 re=c-0-6
            post c -> a inform
              journal 0-8 posted [inform agent:10]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
              run a 4 init AfterFault
            turn a ok timer 30s ; timer 40s ; subscribe {}
              journal 0-9 instance-started
              journal 0-10 turn 4 returned 0
              run a 5 message c -> a inform null conv=c-0-8
              host answered timer=3 timer=4 subscribe=3
            turn a ok
              journal 0-11 turn 5 returned 0
            show a
              Running version 1.0.0 turns 5 errors 0 faults 1 mail 0 timers [2, 3, 4] subscriptions 2 state 0
        "#]],
    );
}

#[test]
fn timers_are_bounded() {
    check(
        r#"
        deploy a timers=2
        post c -> a inform
        turn a ok timer 1s ; timer 1s ; timer 1s ; cancel 1 ; timer 1s
        show a
        "#,
        expect![[r#"
            deploy a timers=2
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok timer 1s ; timer 1s ; timer 1s ; cancel 1 ; timer 1s
              journal 0-5 turn 2 returned 0
              host answered timer=1 timer=2 timer=-7 cancel=0 timer=3
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [2, 3] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_timer_and_mail_take_turns() {
    check(
        r#"
        deploy a
        post c -> a inform {"n": 1}
        turn a ok timer 0s ; timer 0s
        post c -> a inform {"n": 2}
        turn a ok timer 0s
        turn a ok
        turn a ok
        turn a ok
        "#,
        expect![[r#"
            deploy a
            post c -> a inform {"n": 1}
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform {"n": 1} conv=c-0-4
            turn a ok timer 0s ; timer 0s
              journal 0-5 turn 2 returned 0
              run a 3 timer 1
              host answered timer=1 timer=2
            post c -> a inform {"n": 2}
              journal 0-6 posted [inform agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
            turn a ok timer 0s
              journal 0-7 turn 3 returned 0
              run a 4 message c -> a inform {"n": 2} conv=c-0-6
              host answered timer=3
            turn a ok
              journal 0-8 turn 4 returned 0
              run a 5 timer 2
            turn a ok
              journal 0-9 turn 5 returned 0
              run a 6 timer 3
            turn a ok
              journal 0-10 turn 6 returned 0
        "#]],
    );
}

#[test]
fn a_timer_that_fell_due_while_down_fires_at_once() {
    check(
        r#"
        deploy a
        post c -> a inform
        turn a ok timer 5s
        crash
        turn a ok
        tick 4s
        crash 0 3s
        turn a ok
        turn a ok
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok timer 5s
              journal 0-5 turn 2 returned 0
              host answered timer=1
            crash
              crash, 5 records kept
            turn a ok
              nothing runs
            tick 4s
            crash 0 3s
              crash, 5 records kept
              run a 3 init NodeStart
            turn a ok
              journal 0-6 instance-started
              journal 0-7 turn 3 returned 0
              run a 4 timer 1
            turn a ok
              journal 0-8 turn 4 returned 0
            show a
              Running version 1.0.0 turns 4 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}
