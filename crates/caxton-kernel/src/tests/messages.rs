//! Posts, turns and replies.

use caxton_model::Micros;
use expect_test::expect;

use super::script::{Script, check};

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

#[test]
fn a_client_may_not_bear_an_agents_or_a_reserved_name() {
    check(
        r#"
        deploy a
        deploy b
        post a -> b inform
        post df -> b inform
        post ext:x -> b inform
        post a-000000000000000a -> b inform
        "#,
        expect![[r#"
            deploy a
            deploy b
            post a -> b inform
              answer 3: refused reserved-name: `a` is an agent's or a reserved name; send under another
            post df -> b inform
              answer 4: refused reserved-name: `df` is an agent's or a reserved name; send under another
            post ext:x -> b inform
              answer 5: refused reserved-name: `ext:x` is an agent's or a reserved name; send under another
            post a-000000000000000a -> b inform
              answer 6: refused reserved-name: `a-000000000000000a` is an agent's or a reserved name; send under another
        "#]],
    );
}

#[test]
fn a_retry_with_the_same_id_is_harmless_for_a_day() {
    check(
        r#"
        deploy a
        post c -> a request id=one {"n": 1}
        turn a ok
        post c -> a request id=one {"n": 1}
        post d -> a request id=one {"n": 1}
        turn a ok
        tick 24h
        post c -> a request id=one {"n": 1}
        post c -> a request id=two {"n": 1}
        "#,
        expect![[r#"
            deploy a
            post c -> a request id=one {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-97d70630906e3d739782a136 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-97d70630906e3d739782a136
            turn a ok
              journal 0-5 turn 2 returned 0
            post c -> a request id=one {"n": 1}
              answer 3: posted m-0-4-0 conv=c-97d70630906e3d739782a136 to 1 durable duplicate
            post d -> a request id=one {"n": 1}
              journal 0-6 posted [request agent:10]
              answer 4: posted m-0-6-0 conv=c-79818e87dc80da13a1325aef to 1 durable
              run a 3 message d -> a request {"n": 1} conv=c-79818e87dc80da13a1325aef
            turn a ok
              journal 0-7 turn 3 returned 0
            tick 24h
            post c -> a request id=one {"n": 1}
              answer 5: refused duplicate-message: message id `one` was used at 2026-01-01T00:00:00.000000Z
            post c -> a request id=two {"n": 1}
              journal 0-8 posted [request agent:10]
              answer 6: posted m-0-8-0 conv=c-be135e8eb3cdb5eceae1fcfa to 1 durable
              run a 4 message c -> a request {"n": 1} conv=c-be135e8eb3cdb5eceae1fcfa
        "#]],
    );
}

#[test]
fn nothing_is_recorded_for_a_receiver_that_is_not_there() {
    check(
        r#"
        deploy a
        post c -> nobody request
        post c -> {"capability":"translate"} request
        post c -> a@elsewhere request
        post c -> a-00000000000000ff request
        "#,
        expect![[r#"
            deploy a
            post c -> nobody request
              answer 2: refused not-found: there is no agent `nobody`
            post c -> {"capability":"translate"} request
              answer 3: refused no-capability: no agent offers `translate`
            post c -> a@elsewhere request
              answer 4: refused remote-address: `a@elsewhere` is an address on another node; this node has no peers
            post c -> a-00000000000000ff request
              answer 5: refused not-found: there is no agent `a-00000000000000ff`
        "#]],
    );
}

#[test]
fn a_list_reaches_those_that_exist() {
    check(
        r#"
        deploy a
        deploy b
        post c -> ["a","nobody","b","a"] inform
        turn a ok
        turn b ok
        dead
        post c -> ["nobody","a@elsewhere"] inform
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> ["a","nobody","b","a"] inform
              journal 0-7 posted [inform agent:10 dead:not-found agent:11]
              event dead letter for nobody: not-found: there is no agent `nobody`
              answer 3: posted m-0-7-0 conv=c-0-7 to 2 durable
              run a 2 message c -> ["a","nobody","b","a"] inform null conv=c-0-7
              run b 2 message c -> ["a","nobody","b","a"] inform null conv=c-0-7
            turn a ok
              journal 0-8 turn 2 returned 0
            turn b ok
              journal 0-9 turn 2 returned 0
            dead
              m-0-7-1 for nobody not-found: c -> ["a","nobody","b","a"] inform null conv=c-0-7
            post c -> ["nobody","a@elsewhere"] inform
              answer 4: refused not-found: there is no agent `nobody`
        "#]],
    );
}

#[test]
fn a_full_mailbox_refuses_a_post() {
    check(
        r#"
        deploy a mailbox=2
        post c -> a inform {"n": 1}
        post c -> a inform {"n": 2}
        post c -> a inform {"n": 3}
        post c -> a inform {"n": "too large for what is left"}
        turn a ok
        post c -> a inform {"n": 4}
        "#,
        expect![[r#"
            deploy a mailbox=2
            post c -> a inform {"n": 1}
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform {"n": 1} conv=c-0-4
            post c -> a inform {"n": 2}
              journal 0-5 posted [inform agent:10]
              answer 3: posted m-0-5-0 conv=c-0-5 to 1 durable
            post c -> a inform {"n": 3}
              answer 4: refused queue-full: the mailbox of `a` is full: 2 messages, 238 bytes are waiting
            post c -> a inform {"n": "too large for what is left"}
              answer 5: refused queue-full: the mailbox of `a` is full: 2 messages, 238 bytes are waiting
            turn a ok
              journal 0-6 turn 2 returned 0
              run a 3 message c -> a inform {"n": 2} conv=c-0-5
            post c -> a inform {"n": 4}
              journal 0-7 posted [inform agent:10]
              answer 6: posted m-0-7-0 conv=c-0-7 to 1 durable
        "#]],
    );
}

#[test]
fn a_tokens_namespace_is_a_border() {
    check(
        r#"
        deploy a
        deploy acme/b
        post c -> a inform ns=acme
        post c -> acme/b inform ns=acme
        post c -> ["a","acme/b"] inform ns=acme
        turn acme/b ok
        post c -> a inform
        "#,
        expect![[r#"
            deploy a
            deploy acme/b
            post c -> a inform ns=acme
              answer 3: refused forbidden: `a` is outside the namespace `acme` of your token
            post c -> acme/b inform ns=acme
              journal 0-7 posted [inform agent:11]
              answer 4: posted m-0-7-0 conv=c-0-7 to 1 durable
              run acme/b 2 message c -> acme/b inform null conv=c-0-7
            post c -> ["a","acme/b"] inform ns=acme
              journal 0-8 posted [inform dead:forbidden agent:11]
              event dead letter for a: forbidden: `a` is outside the namespace `acme` of your token
              answer 5: posted m-0-8-0 conv=c-0-8 to 1 durable
            turn acme/b ok
              journal 0-9 turn 2 returned 0
              run acme/b 3 message c -> ["a","acme/b"] inform null conv=c-0-8
            post c -> a inform
              journal 0-10 posted [inform agent:10]
              answer 6: posted m-0-10-0 conv=c-0-10 to 1 durable
              run a 2 message c -> a inform null conv=c-0-10
        "#]],
    );
}

#[test]
fn an_acknowledgement_says_whether_it_lasts() {
    check(
        r#"
        deploy a
        deploy m memory
        post c -> a inform
        post c -> m inform
        post c -> ["a","m"] inform
        "#,
        expect![[r#"
            deploy a
            deploy m memory
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a inform null conv=c-0-7
            post c -> m inform
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 memory
              run m 2 message c -> m inform null conv=c-0-8
            post c -> ["a","m"] inform
              journal 0-9 posted [inform agent:10 agent:11]
              answer 5: posted m-0-9-0 conv=c-0-9 to 2 memory
        "#]],
    );
}

#[test]
fn a_non_zero_return_keeps_the_effects() {
    check(
        r#"
        deploy a
        post c -> a request
        turn a return1 reply not-understood {"why": "words"}
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            turn a return1 reply not-understood {"why": "words"}
              journal 0-5 turn 2 returned 1 [not-understood client:c]
              mail for c: a -> c not-understood {"why":"words"} conv=c-0-4 re=c-0-4
              host answered reply=0
            show a
              Running version 1.0.0 turns 2 errors 1 faults 0 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_fault_discards_the_effects_and_tells_the_sender() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        post d -> a request {"n": 2}
        turn a memory-limit reply inform {"never": "sent"} ; timer 1s ; register {"services": [{"name": "x"}]}
        turn a ok
        turn a ok reply inform {"n": 2}
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            post d -> a request {"n": 2}
              journal 0-5 posted [request agent:10]
              answer 3: posted m-0-5-0 conv=c-0-5 to 1 durable
            turn a memory-limit reply inform {"never": "sent"} ; timer 1s ; register {"services": [{"name": "x"}]}
              event a faulted: memory-limit: the guest met its memory-limit
              journal 0-6 turn 2 fault memory-limit [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its memory-limit","code":"memory-limit","agent":"a"} conv=c-0-4 re=c-0-4
              run a 3 init AfterFault
              host answered reply=0 timer=1 register=0
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 message d -> a request {"n": 2} conv=c-0-5
            turn a ok reply inform {"n": 2}
              journal 0-9 turn 4 returned 0 [inform client:d]
              mail for d: a -> d inform {"n":2} conv=c-0-5 re=c-0-5
              host answered reply=0
            show a
              Running version 1.0.0 turns 4 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_last_word_is_never_answered() {
    check(
        r#"
        deploy a
        post c -> a failure {"error": "mine"}
        turn a trap
        turn a ok
        post c -> a not-understood {"error": "mine"}
        turn a ok
        turn a trap
        "#,
        expect![[r#"
            deploy a
            post c -> a failure {"error": "mine"}
              journal 0-4 posted [failure agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a failure {"error": "mine"} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap
            turn a ok
              nothing runs
            post c -> a not-understood {"error": "mine"}
              journal 0-6 posted [not-understood agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init AfterFault
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 message c -> a not-understood {"error": "mine"} conv=c-0-6
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-9 turn 4 fault trap
        "#]],
    );
}

#[test]
fn a_faulted_message_may_be_tried_again_then_it_is_dead() {
    check(
        r#"
        deploy a attempts=3
        post c -> a request {"n": 1}
        turn a trap
        turn a ok
        turn a trap
        turn a ok
        turn a trap
        dead
        show a
        resend
        turn a ok
        turn a ok reply inform {"n": "at last"}
        dead
        "#,
        expect![[r#"
            deploy a attempts=3
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap not used up
              run a 3 init AfterFault
            turn a ok
              journal 0-6 instance-started
              journal 0-7 turn 3 returned 0
              run a 4 message c -> a request {"n": 1} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-8 turn 4 fault trap not used up
              run a 5 init AfterFault
            turn a ok
              journal 0-9 instance-started
              journal 0-10 turn 5 returned 0
              run a 6 message c -> a request {"n": 1} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-11 turn 6 fault trap [failure client:c] [request dead:trap]
              event dead letter for a: trap: tried 3 times; the last fault: the guest met its trap
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
            dead
              m-0-11-1 for a trap: c -> a request {"n": 1} conv=c-0-4
            show a
              Running version 1.0.0 turns 6 errors 0 faults 3 mail 0 timers [] subscriptions 0 state 0
            resend
              journal 0-12 dead-letters-taken [request agent:10]
              answer 3: 1 dead letters
              run a 7 init AfterFault
            turn a ok
              journal 0-13 instance-started
              journal 0-14 turn 7 returned 0
              run a 8 message c -> a request {"n": 1} conv=c-0-4
            turn a ok reply inform {"n": "at last"}
              journal 0-15 turn 8 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":"at last"} conv=c-0-4 re=c-0-4
              host answered reply=0
            dead
        "#]],
    );
}

#[test]
fn a_sender_that_makes_an_agent_fault_again_and_again_waits() {
    check(
        r#"
        deploy a
        post bad -> a request {"n": 1}
        turn a trap
        post bad -> a request {"n": 2}
        turn a ok
        turn a trap
        post bad -> a request {"n": 3}
        turn a ok
        turn a trap
        post bad -> a request {"n": 4}
        post good -> a request {"n": 1}
        turn a ok
        turn a ok reply inform {"fine": true}
        tick 10s
        post bad -> a request {"n": 5}
        turn a trap
        post bad -> a request {"n": 6}
        tick 11s
        post bad -> a request {"n": 7}
        tick 9s
        post bad -> a request {"n": 8}
        turn a ok
        turn a ok
        post bad -> a request {"n": 9}
        turn a trap
        post bad -> a request {"n": 10}
        "#,
        expect![[r#"
            deploy a
            post bad -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message bad -> a request {"n": 1} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap [failure client:bad]
              mail for bad: a -> bad failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
            post bad -> a request {"n": 2}
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init AfterFault
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 message bad -> a request {"n": 2} conv=c-0-6
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-9 turn 4 fault trap [failure client:bad]
              mail for bad: a -> bad failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-6 re=c-0-6
            post bad -> a request {"n": 3}
              journal 0-10 posted [request agent:10]
              answer 4: posted m-0-10-0 conv=c-0-10 to 1 durable
              run a 5 init AfterFault
            turn a ok
              journal 0-11 instance-started
              journal 0-12 turn 5 returned 0
              run a 6 message bad -> a request {"n": 3} conv=c-0-10
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-13 turn 6 fault trap [failure client:bad]
              mail for bad: a -> bad failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-10 re=c-0-10
            post bad -> a request {"n": 4}
              journal 0-14 posted [request agent:10]
              answer 5: posted m-0-14-0 conv=c-0-14 to 1 durable
              journal 0-15 refused [request dead:breaker-open] [failure client:bad]
              event dead letter for a: breaker-open: the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:10.000000Z
              mail for bad: a -> bad failure {"error":"the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:10.000000Z","code":"breaker-open","agent":"a"} conv=c-0-14 re=c-0-14
            post good -> a request {"n": 1}
              journal 0-16 posted [request agent:10]
              answer 6: posted m-0-16-0 conv=c-0-16 to 1 durable
              run a 7 init AfterFault
            turn a ok
              journal 0-17 instance-started
              journal 0-18 turn 7 returned 0
              run a 8 message good -> a request {"n": 1} conv=c-0-16
            turn a ok reply inform {"fine": true}
              journal 0-19 turn 8 returned 0 [inform client:good]
              mail for good: a -> good inform {"fine":true} conv=c-0-16 re=c-0-16
              host answered reply=0
            tick 10s
            post bad -> a request {"n": 5}
              journal 0-20 posted [request agent:10]
              answer 7: posted m-0-20-0 conv=c-0-20 to 1 durable
              run a 9 message bad -> a request {"n": 5} conv=c-0-20
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-21 turn 9 fault trap [failure client:bad]
              mail for bad: a -> bad failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-20 re=c-0-20
            post bad -> a request {"n": 6}
              journal 0-22 posted [request agent:10]
              answer 8: posted m-0-22-0 conv=c-0-22 to 1 durable
              journal 0-23 refused [request dead:breaker-open] [failure client:bad]
              event dead letter for a: breaker-open: the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:30.000000Z
              mail for bad: a -> bad failure {"error":"the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:30.000000Z","code":"breaker-open","agent":"a"} conv=c-0-22 re=c-0-22
            tick 11s
            post bad -> a request {"n": 7}
              journal 0-24 posted [request agent:10]
              answer 9: posted m-0-24-0 conv=c-0-24 to 1 durable
              journal 0-25 refused [request dead:breaker-open] [failure client:bad]
              event dead letter for a: breaker-open: the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:30.000000Z
              mail for bad: a -> bad failure {"error":"the last messages of `bad` made `a` fault; it takes none of them until 2026-01-01T00:00:30.000000Z","code":"breaker-open","agent":"a"} conv=c-0-24 re=c-0-24
            tick 9s
            post bad -> a request {"n": 8}
              journal 0-26 posted [request agent:10]
              answer 10: posted m-0-26-0 conv=c-0-26 to 1 durable
              run a 10 init AfterFault
            turn a ok
              journal 0-27 instance-started
              journal 0-28 turn 10 returned 0
              run a 11 message bad -> a request {"n": 8} conv=c-0-26
            turn a ok
              journal 0-29 turn 11 returned 0
            post bad -> a request {"n": 9}
              journal 0-30 posted [request agent:10]
              answer 11: posted m-0-30-0 conv=c-0-30 to 1 durable
              run a 12 message bad -> a request {"n": 9} conv=c-0-30
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-31 turn 12 fault trap [failure client:bad]
              mail for bad: a -> bad failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-30 re=c-0-30
            post bad -> a request {"n": 10}
              journal 0-32 posted [request agent:10]
              answer 12: posted m-0-32-0 conv=c-0-32 to 1 durable
              run a 13 init AfterFault
        "#]],
    );
}

#[test]
fn the_asker_hears_of_it_when_its_time_is_over() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request reply_by=5s {"n": 1}
        post d -> a request reply_by=5s {"n": 2}
        turn a ok reply inform {"n": 1}
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "r1", "reply_by": 1767225601000000}
        turn b ok
        show open
        tick 1s
        turn a ok
        tick 5s
        show open
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request reply_by=5s {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-7
            post d -> a request reply_by=5s {"n": 2}
              journal 0-8 posted [request agent:10]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
            turn a ok reply inform {"n": 1}
              journal 0-9 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":1} conv=c-0-7 re=c-0-7
              run a 3 message d -> a request {"n": 2} conv=c-0-8
              host answered reply=0
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "r1", "reply_by": 1767225601000000}
              journal 0-10 turn 3 returned 0 [request agent:11]
              run b 2 message a -> b request null
              host answered send=0
            turn b ok
              journal 0-11 turn 2 returned 0
            show open
              2
            tick 1s
              journal 0-12 host-sent [failure agent:10]
              run a 4 message b -> a failure {"error":"no answer of `b` until 2026-01-01T00:00:01.000000Z","code":"timeout","agent":"b"} re=r1
            turn a ok
              journal 0-13 turn 4 returned 0
            tick 5s
              journal 0-14 host-sent [failure client:d]
              mail for d: a -> d failure {"error":"no answer of `a` until 2026-01-01T00:00:05.000000Z","code":"timeout","agent":"a"} conv=c-0-8 re=c-0-8
            show open
              0
        "#]],
    );
}

#[test]
fn a_deadline_is_a_date_of_the_wall_clock_that_later_steps_do_not_move() {
    check(
        r#"
        deploy a
        wall 60
        post c -> a request reply_by=65s {"n": 1}
        turn a ok
        wall -3600
        tick 4s
        tick 1s
        "#,
        expect![[r#"
            deploy a
            wall 60
            post c -> a request reply_by=65s {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            turn a ok
              journal 0-5 turn 2 returned 0
            wall -3600
            tick 4s
            tick 1s
              journal 0-6 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:01:05.000000Z","code":"timeout","agent":"a"} conv=c-0-4 re=c-0-4
        "#]],
    );
}

#[test]
fn a_silent_conversation_is_forgotten() {
    check(
        r#"
        deploy a
        post c -> a inform conversation_id=talk
        turn a ok
        show conversation talk
        tick 20m
        post c -> a inform conversation_id=talk
        turn a ok
        tick 29m
        show conversation talk
        tick 2m
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            post c -> a inform conversation_id=talk
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=talk to 1 durable
              run a 2 message c -> a inform null conv=talk
            turn a ok
              journal 0-5 turn 2 returned 0
            show conversation talk
              c:inform
            tick 20m
            post c -> a inform conversation_id=talk
              journal 0-6 posted [inform agent:10]
              answer 3: posted m-0-6-0 conv=talk to 1 durable
              run a 3 message c -> a inform null conv=talk
            turn a ok
              journal 0-7 turn 3 returned 0
            tick 29m
            show conversation talk
              c:inform c:inform
            tick 2m
            show conversation talk
              nothing
        "#]],
    );
}

#[test]
fn replies_wait_a_quarter_of_an_hour_or_until_they_are_read() {
    check(
        r#"
        deploy a
        post c -> a request
        turn a ok reply inform {"n": 1}
        post d -> a request
        turn a ok reply inform {"n": 1}
        show replies c
        read c
        show replies c
        tick 14m
        show replies d
        tick 1m
        show replies d
        "#,
        expect![[r#"
            deploy a
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            turn a ok reply inform {"n": 1}
              journal 0-5 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":1} conv=c-0-4 re=c-0-4
              host answered reply=0
            post d -> a request
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 message d -> a request null conv=c-0-6
            turn a ok reply inform {"n": 1}
              journal 0-7 turn 3 returned 0 [inform client:d]
              mail for d: a -> d inform {"n":1} conv=c-0-6 re=c-0-6
              host answered reply=0
            show replies c
              1
            read c
              journal 0-8 replies-dropped
            show replies c
              0
            tick 14m
            show replies d
              1
            tick 1m
              journal 0-9 replies-dropped
            show replies d
              0
        "#]],
    );
}

#[test]
fn a_reply_that_was_long_on_its_way_is_not_kept_longer() {
    let mut run = Script::new(2);
    for line in [
        "deploy a",
        "deploy b",
        "post c -> a request",
        "post c -> b request",
    ] {
        run.line(line);
        run.world.deliver_all();
    }
    // `a` lives on another shard than `c` and `b`.
    run.line(r#"turn a ok reply inform {"n": 1}"#);
    run.world.now = run.world.now.after(Micros::secs(10 * 60));
    run.line(r#"turn b ok reply inform {"n": 2}"#);
    run.world.deliver_all();
    let replies = |run: &Script| run.world.kernels[0].state().clients["c"].replies().len();
    assert_eq!(replies(&run), 2);
    run.line("tick 6m");
    assert_eq!(replies(&run), 1);
}

#[test]
fn while_the_node_goes_down_turns_end_and_none_begin() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        post c -> a request {"n": 2}
        quiesce
        turn a ok reply inform {"n": 1}
        post c -> a request {"n": 3}
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            post c -> a request {"n": 2}
              journal 0-5 posted [request agent:10]
              answer 3: posted m-0-5-0 conv=c-0-5 to 1 durable
            quiesce
            turn a ok reply inform {"n": 1}
              journal 0-6 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":1} conv=c-0-4 re=c-0-4
              host answered reply=0
            post c -> a request {"n": 3}
              answer 4: refused shutting-down: the node is going down
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 1 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_trace_goes_from_message_to_message() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request traceparent=00-11-22-01
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x"} ; send {"performative": "inform", "receiver": "c", "traceparent": "own"}
        turn b trap
        traces a
        traces c
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request traceparent=00-11-22-01
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x"} ; send {"performative": "inform", "receiver": "c", "traceparent": "own"}
              journal 0-8 turn 2 returned 0 [request agent:11] [inform client:c]
              mail for c: a -> c inform null
              run b 2 message a -> b request null
              host answered send=0 send=0
            turn b trap
              event b faulted: trap: the guest met its trap
              journal 0-9 turn 2 fault trap [failure agent:10]
              run a 3 message b -> a failure {"error":"the guest met its trap","code":"trap","agent":"b"} re=x
            traces a
              failure "00-11-22-01"
            traces c
              inform "own"
        "#]],
    );
}
