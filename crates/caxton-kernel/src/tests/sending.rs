//! What a guest's host calls answer.

use expect_test::expect;

use super::script::{check, check_on};

#[test]
fn a_message_goes_to_names_ids_lists_and_clients() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request {"n": 1}
        turn a ok send {"performative": "inform", "receiver": "b", "sender": "forged"} ; send {"performative": "inform", "receiver": "a-000000000000000b"} ; send {"performative": "inform", "receiver": ["b", "nobody"]} ; send {"performative": "inform", "receiver": "c"} ; send {"performative": "inform", "receiver": "stranger"} ; send {"performative": "inform", "receiver": "b@elsewhere"} ; send {"performative": "shout", "receiver": "b"} ; send nonsense ; send {"performative": "inform", "receiver": "a"}
        turn b ok
        turn b ok
        turn b ok
        turn a ok
        dead
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-7
            turn a ok send {"performative": "inform", "receiver": "b", "sender": "forged"} ; send {"performative": "inform", "receiver": "a-000000000000000b"} ; send {"performative": "inform", "receiver": ["b", "nobody"]} ; send {"performative": "inform", "receiver": "c"} ; send {"performative": "inform", "receiver": "stranger"} ; send {"performative": "inform", "receiver": "b@elsewhere"} ; send {"performative": "shout", "receiver": "b"} ; send nonsense ; send {"performative": "inform", "receiver": "a"}
              journal 0-8 turn 2 returned 0 [inform agent:11] [inform agent:11] [inform agent:11 dead:undeliverable] [inform client:c] [inform agent:10]
              event dead letter for nobody: undeliverable: one of 2 receivers: no agent or client has that name
              mail for c: a -> c inform null
              run a 3 message a -> a inform null
              run b 2 message a -> b inform null
              host answered send=0 send=0 send=0 send=0 send=-1 send=-8 send=-2 send=-2 send=0
            turn b ok
              journal 0-9 turn 2 returned 0
              run b 3 message a -> a-000000000000000b inform null
            turn b ok
              journal 0-10 turn 3 returned 0
              run b 4 message a -> ["b","nobody"] inform null
            turn b ok
              journal 0-11 turn 4 returned 0
            turn a ok
              journal 0-12 turn 3 returned 0
            dead
              m-0-8-3 for nobody undeliverable: a -> ["b","nobody"] inform null
        "#]],
    );
}

#[test]
fn local_messages_stay_on_the_node() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request
        turn a ok local b {"performative": "inform", "content": 1} ; local a-000000000000000b {"performative": "inform", "receiver": "ignored"} ; local c {"performative": "inform"} ; local b@elsewhere {"performative": "inform"} ; local b {"performative": 5}
        turn b ok
        turn b ok
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok local b {"performative": "inform", "content": 1} ; local a-000000000000000b {"performative": "inform", "receiver": "ignored"} ; local c {"performative": "inform"} ; local b@elsewhere {"performative": "inform"} ; local b {"performative": 5}
              journal 0-8 turn 2 returned 0 [inform agent:11] [inform agent:11]
              run b 2 message a -> b inform 1
              host answered local=0 local=0 local=-1 local=-8 local=-2
            turn b ok
              journal 0-9 turn 2 returned 0
              run b 3 message a -> a-000000000000000b inform null
            turn b ok
              journal 0-10 turn 3 returned 0
        "#]],
    );
}

#[test]
fn a_message_over_the_limit_is_too_large() {
    check(
        r#"
        deploy a message_bytes=120
        deploy b
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "b", "content": "0123456789012345678901234567890123456789012345678901234567890123456789"} ; send {"performative": "inform", "receiver": "b"}
        turn b ok
        post c -> a request {"long": "0123456789012345678901234567890123456789012345678901234567890123456789"}
        "#,
        expect![[r#"
            deploy a message_bytes=120
            deploy b
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok send {"performative": "inform", "receiver": "b", "content": "0123456789012345678901234567890123456789012345678901234567890123456789"} ; send {"performative": "inform", "receiver": "b"}
              journal 0-8 turn 2 returned 0 [inform agent:11]
              run b 2 message a -> b inform null
              host answered send=-4 send=0
            turn b ok
              journal 0-9 turn 2 returned 0
            post c -> a request {"long": "0123456789012345678901234567890123456789012345678901234567890123456789"}
              answer 4: refused message-too-large: `a` takes messages of at most 120 bytes; this has 196
        "#]],
    );
}

#[test]
fn the_namespace_is_the_default_right_to_send() {
    check(
        r#"
        deploy a
        deploy acme/b
        deploy acme/x grants=a,ams
        post c -> acme/b request
        turn acme/b ok send {"performative": "inform", "receiver": "a"} ; send {"performative": "inform", "receiver": "acme/x"} ; send {"performative": "request", "receiver": "df", "content": {"action": "search"}} ; reply inform null
        turn acme/x ok send {"performative": "inform", "receiver": "a"} ; reply inform null ; send {"performative": "inform", "receiver": "df"}
        turn a ok reply inform {"back": "across the border"}
        turn acme/b ok
        "#,
        expect![[r#"
            deploy a
            deploy acme/b
            deploy acme/x grants=a,ams
            post c -> acme/b request
              journal 0-10 posted [request agent:11]
              answer 4: posted m-0-10-0 conv=c-0-10 to 1 durable
              run acme/b 2 message c -> acme/b request null conv=c-0-10
            turn acme/b ok send {"performative": "inform", "receiver": "a"} ; send {"performative": "inform", "receiver": "acme/x"} ; send {"performative": "request", "receiver": "df", "content": {"action": "search"}} ; reply inform null
              journal 0-11 turn 2 returned 0 [inform agent:12] [request agent:2] [inform client:c]
              journal 0-12 directory [inform agent:11]
              mail for c: acme/b -> c inform null conv=c-0-10 re=c-0-10
              run acme/b 3 message df -> acme/b inform {"result":[]}
              run acme/x 2 message acme/b -> acme/x inform null
              host answered send=-3 send=0 send=0 reply=0
            turn acme/x ok send {"performative": "inform", "receiver": "a"} ; reply inform null ; send {"performative": "inform", "receiver": "df"}
              journal 0-13 turn 2 returned 0 [inform agent:10] [inform agent:11]
              run a 2 message acme/x -> a inform null
              host answered send=0 reply=0 send=-3
            turn a ok reply inform {"back": "across the border"}
              journal 0-14 turn 2 returned 0 [inform agent:12]
              run acme/x 3 message a -> acme/x inform {"back":"across the border"}
              host answered reply=0
            turn acme/b ok
              journal 0-15 turn 3 returned 0
              run acme/b 4 message acme/x -> acme/b inform null
        "#]],
    );
}

#[test]
fn the_rate_is_limited_but_the_first_reply_is_free() {
    check(
        r#"
        deploy a messages_per_second=2
        deploy b
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; reply inform 1 ; reply inform 2
        tick 500ms
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
        "#,
        expect![[r#"
            deploy a messages_per_second=2
            deploy b
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; reply inform 1 ; reply inform 2
              journal 0-8 turn 2 returned 0 [inform agent:11] [inform agent:11] [inform client:c]
              mail for c: a -> c inform 1 conv=c-0-7 re=c-0-7
              run b 2 message a -> b inform null
              host answered send=0 send=0 send=-5 reply=0 reply=-5
            tick 500ms
            post c -> a request
              journal 0-9 posted [request agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a request null conv=c-0-9
            turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
              journal 0-10 turn 3 returned 0 [inform agent:11]
              host answered send=0 send=-5
        "#]],
    );
}

#[test]
fn a_full_mailbox_is_known_at_the_call() {
    check(
        r#"
        deploy a
        deploy b mailbox=2
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
        turn b ok
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
        "#,
        expect![[r#"
            deploy a
            deploy b mailbox=2
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
              journal 0-8 turn 2 returned 0 [inform agent:11] [inform agent:11]
              run b 2 message a -> b inform null
              host answered send=0 send=0 send=-6
            turn b ok
              journal 0-9 turn 2 returned 0
              run b 3 message a -> b inform null
            post c -> a request
              journal 0-10 posted [request agent:10]
              answer 4: posted m-0-10-0 conv=c-0-10 to 1 durable
              run a 3 message c -> a request null conv=c-0-10
            turn a ok send {"performative": "inform", "receiver": "b"} ; send {"performative": "inform", "receiver": "b"}
              journal 0-11 turn 3 returned 0 [inform agent:11]
              host answered send=0 send=-6
        "#]],
    );
}

#[test]
fn fullness_found_later_comes_back_as_a_failure() {
    check_on(
        2,
        r#"
        deploy a
        deploy b mailbox=1
        post c -> a request
        hold
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x", "content": 1} ; send {"performative": "request", "receiver": "b", "reply_with": "y", "content": 2}
        post d -> a request
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "y", "content": 2} ; send {"performative": "failure", "receiver": "b", "content": 3}
        post e -> a request
        turn a ok send {"performative": "failure", "receiver": "b", "content": 4}
        flow
        turn a ok
        dead
        "#,
        expect![[r#"
            deploy a
            deploy b mailbox=1
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            hold
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x", "content": 1} ; send {"performative": "request", "receiver": "b", "reply_with": "y", "content": 2}
              journal 1-4 turn 2 returned 0 [request agent:11]
              host answered send=0 send=-6
            post d -> a request
              journal 1-5 posted [request agent:10]
              answer 4: posted m-1-5-0 conv=c-1-5 to 1 durable
              run a 3 message d -> a request null conv=c-1-5
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "y", "content": 2} ; send {"performative": "failure", "receiver": "b", "content": 3}
              journal 1-6 turn 3 returned 0 [request agent:11]
              host answered send=0 send=-6
            post e -> a request
              journal 0-5 posted [request agent:10]
              answer 5: posted m-0-5-0 conv=c-0-5 to 1 durable
            turn a ok send {"performative": "failure", "receiver": "b", "content": 4}
              nothing runs
            flow
              run a 4 message e -> a request null conv=c-0-5
              journal 0-6 refused [request dead:queue-full] [failure agent:10]
              event dead letter for b: queue-full: the mailbox of `b` is full: 1 messages, 83 bytes are waiting
              run b 2 message a -> b request 1
            turn a ok
              journal 1-7 turn 4 returned 0
              run a 5 message b -> a failure {"error":"the mailbox of `b` is full: 1 messages, 83 bytes are waiting","code":"queue-full","agent":"b"} re=y
            dead
              m-0-6-0 for b queue-full: a -> b request 2
        "#]],
    );
}

#[test]
fn one_place_is_kept_for_what_the_host_says() {
    check(
        r#"
        deploy a
        deploy b mailbox=1
        post c -> b request
        turn b ok send {"performative": "request", "receiver": "a", "reply_with": "x", "reply_by": 1767225601000000} ; send {"performative": "request", "receiver": "a", "reply_with": "y", "reply_by": 1767225602000000}
        post c -> b inform {"fills": "the mailbox"}
        tick 1s
        show b
        tick 1s
        show b
        dead
        "#,
        expect![[r#"
            deploy a
            deploy b mailbox=1
            post c -> b request
              journal 0-7 posted [request agent:11]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run b 2 message c -> b request null conv=c-0-7
            turn b ok send {"performative": "request", "receiver": "a", "reply_with": "x", "reply_by": 1767225601000000} ; send {"performative": "request", "receiver": "a", "reply_with": "y", "reply_by": 1767225602000000}
              journal 0-8 turn 2 returned 0 [request agent:10] [request agent:10]
              run a 2 message b -> a request null
              host answered send=0 send=0
            post c -> b inform {"fills": "the mailbox"}
              journal 0-9 posted [inform agent:11]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run b 3 message c -> b inform {"fills": "the mailbox"} conv=c-0-9
            tick 1s
              journal 0-10 host-sent [failure agent:11]
            show b
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 2 timers [] subscriptions 0 state 0
            tick 1s
              journal 0-11 host-sent [failure agent:11]
              journal 0-12 refused [failure dead:queue-full]
              event dead letter for b: queue-full: the mailbox of `b` is full: 2 messages, 309 bytes are waiting
            show b
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 2 timers [] subscriptions 0 state 0
            dead
              m-0-12-0 for b queue-full: a -> b failure {"error":"no answer of `a` until 2026-01-01T00:00:02.000000Z","code":"timeout","agent":"a"} re=y
        "#]],
    );
}

#[test]
fn an_agent_stopped_or_removed_meanwhile_answers_by_the_host() {
    check_on(
        2,
        r#"
        deploy a
        deploy b
        deploy d
        deploy e
        post c -> a request
        hold
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x"} ; send {"performative": "request", "receiver": "d", "reply_with": "y"}
        stop b now 1s
        turn b ok
        remove d
        flow
        turn a ok
        turn a ok
        dead
        "#,
        expect![[r#"
            deploy a
            deploy b
            deploy d
            deploy e
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 5: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            hold
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "x"} ; send {"performative": "request", "receiver": "d", "reply_with": "y"}
              journal 1-7 turn 2 returned 0 [request agent:11] [request agent:12]
              run d 2 message a -> d request null
              host answered send=0 send=0
            stop b now 1s
              journal 0-8 status-changed
              event b is Draining: asked to stop
              run b 2 shutdown
            turn b ok
              journal 0-9 turn 2 returned 0
              drop instance b
              journal 0-10 status-changed
              event b is Stopped: stopped
              answer 6: Stopped
            remove d
              cancel a-000000000000000c
              event d faulted: agent-stopped: `d` was stopped before its turn ended
              journal 1-8 turn 2 fault agent-stopped [failure agent:10]
              journal 1-9 removed
              forget a-000000000000000c
              event d is Stopped: removed
              answer 7: Stopped
              run a 3 message d -> a failure {"error":"`d` was stopped before its turn ended","code":"agent-stopped","agent":"d"} re=y
            flow
              journal 0-11 refused [request dead:agent-stopped] [failure agent:10]
              event dead letter for b: agent-stopped: agent `b` is stopped; start it again
            turn a ok
              journal 1-10 turn 3 returned 0
              run a 4 message b -> a failure {"error":"agent `b` is stopped; start it again","code":"agent-stopped","agent":"b"} re=x
            turn a ok
              journal 1-11 turn 4 returned 0
            dead
              m-0-11-0 for b agent-stopped: a -> b request null
        "#]],
    );
}

#[test]
fn nobody_registered_the_performative() {
    check(
        r#"
        deploy a init=hold
        turn a ok register {"performatives": ["request", "query-ref"]}
        post c -> a inform {"n": 1}
        post c -> a request {"n": 2}
        turn a ok
        post c -> a failure {"n": 3}
        turn a ok
        dead
        "#,
        expect![[r#"
            deploy a init=hold
              run a 1 init Deploy
            turn a ok register {"performatives": ["request", "query-ref"]}
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
              host answered register=0
            post c -> a inform {"n": 1}
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              journal 0-5 refused [inform dead:not-understood] [not-understood client:c]
              event dead letter for a: not-understood: `a` has not registered `inform`
              mail for c: a -> c not-understood {"error":"`a` has not registered `inform`","code":"not-understood","agent":"a"} conv=c-0-4 re=c-0-4
            post c -> a request {"n": 2}
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 2 message c -> a request {"n": 2} conv=c-0-6
            turn a ok
              journal 0-7 turn 2 returned 0
            post c -> a failure {"n": 3}
              journal 0-8 posted [failure agent:10]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
              run a 3 message c -> a failure {"n": 3} conv=c-0-8
            turn a ok
              journal 0-9 turn 3 returned 0
            dead
              m-0-5-0 for a not-understood: c -> a inform {"n": 1} conv=c-0-4
        "#]],
    );
}

#[test]
fn a_capability_goes_to_the_least_loaded_by_turns() {
    check(
        r#"
        deploy a init=hold
        turn a ok register {"services": [{"name": "translate"}]}
        deploy b init=hold
        turn b ok register {"services": [{"name": "translate"}]}
        post c -> {"capability":"translate"} request {"n": 1}
        post c -> {"capability":"translate"} request {"n": 2}
        post c -> {"capability":"translate"} request {"n": 3}
        turn a ok
        turn a ok
        turn b ok send {"performative": "request", "receiver": {"capability": "translate"}} ; send {"performative": "request", "receiver": {"capability": "sing"}}
        turn a ok register {"services": []} ; send {"performative": "request", "receiver": {"capability": "translate"}}
        stop b now 1s
        turn b ok
        turn b ok
        post c -> {"capability":"translate"} request
        "#,
        expect![[r#"
            deploy a init=hold
              run a 1 init Deploy
            turn a ok register {"services": [{"name": "translate"}]}
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
              host answered register=0
            deploy b init=hold
              run b 1 init Deploy
            turn b ok register {"services": [{"name": "translate"}]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> {"capability":"translate"} request {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> {"capability":"translate"} request {"n": 1} conv=c-0-7
            post c -> {"capability":"translate"} request {"n": 2}
              journal 0-8 posted [request agent:11]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
              run b 2 message c -> {"capability":"translate"} request {"n": 2} conv=c-0-8
            post c -> {"capability":"translate"} request {"n": 3}
              journal 0-9 posted [request agent:10]
              answer 5: posted m-0-9-0 conv=c-0-9 to 1 durable
            turn a ok
              journal 0-10 turn 2 returned 0
              run a 3 message c -> {"capability":"translate"} request {"n": 3} conv=c-0-9
            turn a ok
              journal 0-11 turn 3 returned 0
            turn b ok send {"performative": "request", "receiver": {"capability": "translate"}} ; send {"performative": "request", "receiver": {"capability": "sing"}}
              journal 0-12 turn 2 returned 0 [request agent:10]
              run a 4 message b -> {"capability":"translate"} request null
              host answered send=0 send=-1
            turn a ok register {"services": []} ; send {"performative": "request", "receiver": {"capability": "translate"}}
              journal 0-13 turn 4 returned 0 [request agent:11]
              run b 3 message a -> {"capability":"translate"} request null
              host answered register=0 send=0
            stop b now 1s
              journal 0-14 status-changed
              event b is Draining: asked to stop
            turn b ok
              journal 0-15 turn 3 returned 0
              run b 4 shutdown
            turn b ok
              journal 0-16 turn 4 returned 0
              drop instance b
              journal 0-17 status-changed
              event b is Stopped: stopped
              answer 6: Stopped
            post c -> {"capability":"translate"} request
              answer 7: refused agent-stopped: agent `b` is stopped; start it again
        "#]],
    );
}

#[test]
fn a_broadcast_reaches_whoever_fits() {
    check(
        r#"
        deploy a
        deploy b init=hold
        turn b ok register {"protocols": ["p"], "services": [{"name": "x"}, {"name": "y"}]}
        deploy w-1 init=hold
        turn w-1 ok register {"performatives": ["inform"], "services": [{"name": "x"}]}
        deploy acme/w init=hold
        turn acme/w ok register {"services": [{"name": "x"}]}
        post c -> a request
        turn a ok broadcast {} | {"performative": "inform", "content": 1} ; broadcast {"capabilities": ["x", "y"]} | {"performative": "inform", "content": 2} ; broadcast {"name": "w-*"} | {"performative": "inform", "content": 3} ; broadcast {"performative": "request"} | {"performative": "inform"} ; broadcast {"protocol": "p"} | {"performative": "request", "protocol": "p", "content": 4} ; broadcast {} | {"performative": "request", "content": 5} ; broadcast {"color": "red"} | {"performative": "inform"} ; broadcast [] | {"performative": "inform"} ; broadcast {"name": "q*"} | {"performative": "inform"}
        show b
        show w-1
        show acme/w
        "#,
        expect![[r#"
            deploy a
            deploy b init=hold
              run b 1 init Deploy
            turn b ok register {"protocols": ["p"], "services": [{"name": "x"}, {"name": "y"}]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered register=0
            deploy w-1 init=hold
              run w-1 1 init Deploy
            turn w-1 ok register {"performatives": ["inform"], "services": [{"name": "x"}]}
              journal 0-7 deployed
              journal 0-8 instance-started
              journal 0-9 turn 1 returned 0
              event w-1 is Running: deployed
              answer 3: Running
              host answered register=0
            deploy acme/w init=hold
              run acme/w 1 init Deploy
            turn acme/w ok register {"services": [{"name": "x"}]}
              journal 0-10 deployed
              journal 0-11 instance-started
              journal 0-12 turn 1 returned 0
              event acme/w is Running: deployed
              answer 4: Running
              host answered register=0
            post c -> a request
              journal 0-13 posted [request agent:10]
              answer 5: posted m-0-13-0 conv=c-0-13 to 1 durable
              run a 2 message c -> a request null conv=c-0-13
            turn a ok broadcast {} | {"performative": "inform", "content": 1} ; broadcast {"capabilities": ["x", "y"]} | {"performative": "inform", "content": 2} ; broadcast {"name": "w-*"} | {"performative": "inform", "content": 3} ; broadcast {"performative": "request"} | {"performative": "inform"} ; broadcast {"protocol": "p"} | {"performative": "request", "protocol": "p", "content": 4} ; broadcast {} | {"performative": "request", "content": 5} ; broadcast {"color": "red"} | {"performative": "inform"} ; broadcast [] | {"performative": "inform"} ; broadcast {"name": "q*"} | {"performative": "inform"}
              journal 0-14 turn 2 returned 0 [inform agent:11 agent:12] [inform agent:11] [inform agent:12] [request agent:11] [request agent:11]
              run b 2 message a -> * inform 1
              run w-1 2 message a -> * inform 1
              host answered broadcast=2 broadcast=1 broadcast=1 broadcast=0 broadcast=1 broadcast=1 broadcast=-2 broadcast=-2 broadcast=0
            show b
              Running version 1.0.0 turns 1 errors 0 faults 0 mail 4 timers [] subscriptions 0 state 0
            show w-1
              Running version 1.0.0 turns 1 errors 0 faults 0 mail 2 timers [] subscriptions 0 state 0
            show acme/w
              Running version 1.0.0 turns 1 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_subscription_selects_among_broadcasts_only() {
    check(
        r#"
        deploy a
        deploy b init=hold
        turn b ok subscribe {"ontology": "weather"} ; subscribe {"name": "a", "performative": "request"} ; unsubscribe 1 ; unsubscribe 7 ; subscribe {"ontology": "sports"}
        post c -> a request
        turn a ok broadcast {} | {"performative": "inform", "content": 1} ; broadcast {} | {"performative": "inform", "ontology": "sports", "content": 2} ; broadcast {} | {"performative": "request", "content": 3} ; send {"performative": "inform", "receiver": "b", "content": 4}
        turn b ok
        turn b ok
        turn b ok unsubscribe 2 ; unsubscribe 3
        show b
        post c -> a request
        turn a ok broadcast {} | {"performative": "inform", "content": 5}
        "#,
        expect![[r#"
            deploy a
            deploy b init=hold
              run b 1 init Deploy
            turn b ok subscribe {"ontology": "weather"} ; subscribe {"name": "a", "performative": "request"} ; unsubscribe 1 ; unsubscribe 7 ; subscribe {"ontology": "sports"}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered subscribe=1 subscribe=2 unsubscribe=0 unsubscribe=-1 subscribe=3
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok broadcast {} | {"performative": "inform", "content": 1} ; broadcast {} | {"performative": "inform", "ontology": "sports", "content": 2} ; broadcast {} | {"performative": "request", "content": 3} ; send {"performative": "inform", "receiver": "b", "content": 4}
              journal 0-8 turn 2 returned 0 [inform agent:11] [request agent:11] [inform agent:11]
              run b 2 message a -> * inform 2
              host answered broadcast=0 broadcast=1 broadcast=1 send=0
            turn b ok
              journal 0-9 turn 2 returned 0
              run b 3 message a -> * request 3
            turn b ok
              journal 0-10 turn 3 returned 0
              run b 4 message a -> b inform 4
            turn b ok unsubscribe 2 ; unsubscribe 3
              journal 0-11 turn 4 returned 0
              host answered unsubscribe=0 unsubscribe=0
            show b
              Running version 1.0.0 turns 4 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            post c -> a request
              journal 0-12 posted [request agent:10]
              answer 4: posted m-0-12-0 conv=c-0-12 to 1 durable
              run a 3 message c -> a request null conv=c-0-12
            turn a ok broadcast {} | {"performative": "inform", "content": 5}
              journal 0-13 turn 3 returned 0 [inform agent:11]
              run b 5 message a -> * inform 5
              host answered broadcast=1
        "#]],
    );
}

#[test]
fn subscriptions_are_bounded() {
    check(
        r#"
        deploy a subscriptions=1
        post c -> a inform
        turn a ok subscribe {} ; subscribe {} ; subscribe {"what": 1}
        show a
        "#,
        expect![[r#"
            deploy a subscriptions=1
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok subscribe {} ; subscribe {} ; subscribe {"what": 1}
              journal 0-5 turn 2 returned 0
              host answered subscribe=1 subscribe=-7 subscribe=-2
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [] subscriptions 1 state 0
        "#]],
    );
}

#[test]
fn a_broadcast_costs_a_token_for_each() {
    check(
        r#"
        deploy a messages_per_second=2
        deploy b
        deploy d
        deploy e
        post c -> a inform
        turn a ok broadcast {} | {"performative": "inform"} ; broadcast {} | {"performative": "inform"}
        "#,
        expect![[r#"
            deploy a messages_per_second=2
            deploy b
            deploy d
            deploy e
            post c -> a inform
              journal 0-13 posted [inform agent:10]
              answer 5: posted m-0-13-0 conv=c-0-13 to 1 durable
              run a 2 message c -> a inform null conv=c-0-13
            turn a ok broadcast {} | {"performative": "inform"} ; broadcast {} | {"performative": "inform"}
              journal 0-14 turn 2 returned 0 [inform agent:11 agent:12]
              run b 2 message a -> * inform null
              run d 2 message a -> * inform null
              host answered broadcast=2 broadcast=-5
        "#]],
    );
}

#[test]
fn random_numbers_follow_from_the_turn() {
    check(
        r#"
        deploy a
        post c -> a inform
        turn a ok random ; random
        post c -> a inform
        turn a ok random
        "#,
        expect![[r#"
            deploy a
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok random ; random
              journal 0-5 turn 2 returned 0
              host answered random=4238013936 random=1136086948
            post c -> a inform
              journal 0-6 posted [inform agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 message c -> a inform null conv=c-0-6
            turn a ok random
              journal 0-7 turn 3 returned 0
              host answered random=4096196229
        "#]],
    );
}

#[test]
fn an_event_reaches_whoever_of_the_namespace_subscribed_to_its_topic() {
    check(
        r#"
        deploy a
        deploy all
        deploy b init=hold
        turn b ok subscribe {"topic": "issues.*"}
        deploy both init=hold
        turn both ok subscribe {"topic": "issues.new", "name": "a"} ; subscribe {"performative": "inform"}
        deploy other init=hold
        turn other ok subscribe {"topic": "prices.*"} ; subscribe {"topic": "issues.*", "name": "z*"}
        deploy revoked init=hold
        turn revoked ok subscribe {"topic": "issues.*"}
        deploy acme/b init=hold
        turn acme/b ok subscribe {"topic": "*"}
        post c -> a inform
        turn a ok emit issues.new | {"n": 1} ; emit issues | 1 ; broadcast {} | {"performative": "inform", "content": "all"}
        turn b ok
        turn both ok
        "#,
        expect![[r#"
            deploy a
            deploy all
            deploy b init=hold
              run b 1 init Deploy
            turn b ok subscribe {"topic": "issues.*"}
              journal 0-7 deployed
              journal 0-8 instance-started
              journal 0-9 turn 1 returned 0
              event b is Running: deployed
              answer 3: Running
              host answered subscribe=1
            deploy both init=hold
              run both 1 init Deploy
            turn both ok subscribe {"topic": "issues.new", "name": "a"} ; subscribe {"performative": "inform"}
              journal 0-10 deployed
              journal 0-11 instance-started
              journal 0-12 turn 1 returned 0
              event both is Running: deployed
              answer 4: Running
              host answered subscribe=1 subscribe=2
            deploy other init=hold
              run other 1 init Deploy
            turn other ok subscribe {"topic": "prices.*"} ; subscribe {"topic": "issues.*", "name": "z*"}
              journal 0-13 deployed
              journal 0-14 instance-started
              journal 0-15 turn 1 returned 0
              event other is Running: deployed
              answer 5: Running
              host answered subscribe=1 subscribe=2
            deploy revoked init=hold
              run revoked 1 init Deploy
            turn revoked ok subscribe {"topic": "issues.*"}
              journal 0-16 deployed
              journal 0-17 instance-started
              journal 0-18 turn 1 returned 0
              event revoked is Running: deployed
              answer 6: Running
              host answered subscribe=1
            deploy acme/b init=hold
              run acme/b 1 init Deploy
            turn acme/b ok subscribe {"topic": "*"}
              journal 0-19 deployed
              journal 0-20 instance-started
              journal 0-21 turn 1 returned 0
              event acme/b is Running: deployed
              answer 7: Running
              host answered subscribe=1
            post c -> a inform
              journal 0-22 posted [inform agent:10]
              answer 8: posted m-0-22-0 conv=c-0-22 to 1 durable
              run a 2 message c -> a inform null conv=c-0-22
            turn a ok emit issues.new | {"n": 1} ; emit issues | 1 ; broadcast {} | {"performative": "inform", "content": "all"}
              journal 0-23 turn 2 returned 0 [inform agent:12 agent:13] [inform agent:11 agent:12 agent:13 agent:14 agent:15]
              run b 2 message a -> * inform {"n": 1}
              run both 2 message a -> * inform {"n": 1}
              run all 2 message a -> * inform "all"
              run other 2 message a -> * inform "all"
              run revoked 2 message a -> * inform "all"
              host answered emit=2 emit=0 broadcast=5
            turn b ok
              journal 0-24 turn 2 returned 0
              run b 3 message a -> * inform "all"
            turn both ok
              journal 0-25 turn 2 returned 0
              run both 3 message a -> * inform "all"
        "#]],
    );
}

#[test]
fn no_guest_and_no_client_writes_an_event_by_itself() {
    check(
        r#"
        deploy a
        deploy b init=hold
        turn b ok subscribe {"topic": "t"}
        post c -> a inform
        turn a ok send {"performative": "inform", "receiver": "b", "protocol": "caxton-event", "ontology": "t"} ; send {"performative": "inform", "receiver": "b", "protocol": "caxton-event"} ; broadcast {} | {"performative": "inform", "protocol": "caxton-event", "ontology": "t"} ; local b {"performative": "inform", "protocol": "caxton-event", "ontology": "t"}
        "#,
        expect![[r#"
            deploy a
            deploy b init=hold
              run b 1 init Deploy
            turn b ok subscribe {"topic": "t"}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered subscribe=1
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a inform null conv=c-0-7
            turn a ok send {"performative": "inform", "receiver": "b", "protocol": "caxton-event", "ontology": "t"} ; send {"performative": "inform", "receiver": "b", "protocol": "caxton-event"} ; broadcast {} | {"performative": "inform", "protocol": "caxton-event", "ontology": "t"} ; local b {"performative": "inform", "protocol": "caxton-event", "ontology": "t"}
              journal 0-8 turn 2 returned 0 [inform agent:11]
              run b 2 message a -> b inform null
              host answered send=-3 send=0 broadcast=-3 local=-3
        "#]],
    );
}

#[test]
fn topics_payloads_and_filters_of_events_are_checked() {
    check(
        r#"
        deploy a
        deploy b init=hold
        turn b ok subscribe {"topic": "*"} ; subscribe {"topic": "A"} ; subscribe {"topic": ""} ; subscribe {"topic": "a", "ontology": "b"} ; subscribe {"topic": "a", "performative": "inform"} ; subscribe {"protocol": "caxton-event", "ontology": "a"} ; subscribe {"topic": "a b"}
        post c -> a inform
        turn a ok emit t | nonsense ; emit t | {} {} ; emit t | 1, "sender": "forged" ; emit * | 1 ; emit T | 1 ; broadcast {"topic": "t"} | {"performative": "inform"} ; emit t.0_x-y | [1]
        "#,
        expect![[r#"
            deploy a
            deploy b init=hold
              run b 1 init Deploy
            turn b ok subscribe {"topic": "*"} ; subscribe {"topic": "A"} ; subscribe {"topic": ""} ; subscribe {"topic": "a", "ontology": "b"} ; subscribe {"topic": "a", "performative": "inform"} ; subscribe {"protocol": "caxton-event", "ontology": "a"} ; subscribe {"topic": "a b"}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered subscribe=1 subscribe=-2 subscribe=-2 subscribe=-2 subscribe=-2 subscribe=-2 subscribe=-2
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a inform null conv=c-0-7
            turn a ok emit t | nonsense ; emit t | {} {} ; emit t | 1, "sender": "forged" ; emit * | 1 ; emit T | 1 ; broadcast {"topic": "t"} | {"performative": "inform"} ; emit t.0_x-y | [1]
              journal 0-8 turn 2 returned 0 [inform agent:11]
              run b 2 message a -> * inform [1]
              host answered emit=-2 emit=-2 emit=-2 emit=-2 emit=-2 broadcast=-2 emit=1
        "#]],
    );
}
