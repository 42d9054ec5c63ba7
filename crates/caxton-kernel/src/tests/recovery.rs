//! What a crash leaves, and what several shards do.

use expect_test::expect;

use caxton_model::{AgentId, Entry, InputRef, Record};

use super::script::{Script, check, check_on};

#[test]
fn everything_journalled_is_there_after_a_crash() {
    check(
        r#"
        deploy a
        deploy m memory
        post c -> a request {"n": 1}
        turn a ok reply inform {"n": 1} ; timer 1m ; subscribe {"name": "x"} ; register {"services": [{"name": "x"}]}
        post c -> a request {"n": 2}
        post c -> m request {"n": 3}
        turn m ok timer 1m
        crash
        show a
        show m
        show replies c
        show agents
        turn a ok
        turn a ok reply inform {"n": 2}
        tick 1m
        post c -> m inform
        turn m ok
        turn m ok
        "#,
        expect![[r#"
            deploy a
            deploy m memory
            post c -> a request {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-7
            turn a ok reply inform {"n": 1} ; timer 1m ; subscribe {"name": "x"} ; register {"services": [{"name": "x"}]}
              journal 0-8 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":1} conv=c-0-7 re=c-0-7
              host answered reply=0 timer=1 subscribe=1 register=0
            post c -> a request {"n": 2}
              journal 0-9 posted [request agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a request {"n": 2} conv=c-0-9
            post c -> m request {"n": 3}
              answer 5: posted m-0-10-0 conv=c-0-10 to 1 memory
              run m 2 message c -> m request {"n": 3} conv=c-0-10
            turn m ok timer 1m
              host answered timer=1
            crash
              crash, 7 records kept
              run a 3 init NodeStart
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 1 timers [1] subscriptions 1 state 0
            show m
              Running version 1.0.0 turns 0 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            show replies c
              1
            show agents
              a:Running m:Running
            turn a ok
              journal 0-10 instance-started
              journal 0-11 turn 3 returned 0
              run a 4 message c -> a request {"n": 2} conv=c-0-9
            turn a ok reply inform {"n": 2}
              journal 0-12 turn 4 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":2} conv=c-0-9 re=c-0-9
              host answered reply=0
            tick 1m
              run a 5 timer 1
            post c -> m inform
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 memory
              run m 1 init NodeStart
            turn m ok
              run m 2 message c -> m inform null conv=c-0-13
            turn m ok
        "#]],
    );
}

#[test]
fn a_crash_loses_a_suffix_and_what_was_done_runs_again() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request {"n": 1}
        turn a ok send {"performative": "request", "receiver": "b", "content": "work"}
        turn b ok
        crash 1
        turn b ok
        turn b ok
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-7
            turn a ok send {"performative": "request", "receiver": "b", "content": "work"}
              journal 0-8 turn 2 returned 0 [request agent:11]
              run b 2 message a -> b request "work"
              host answered send=0
            turn b ok
              journal 0-9 turn 2 returned 0
            crash 1
              crash, 8 records kept
              run b 2 init NodeStart
            turn b ok
              journal 0-9 instance-started
              journal 0-10 turn 2 returned 0
              run b 3 message a -> b request "work"
            turn b ok
              journal 0-11 turn 3 returned 0
        "#]],
    );
}

#[test]
fn a_request_to_df_that_was_not_answered_is_answered_after_the_crash() {
    check(
        r#"
        deploy a
        post c -> df query-ref {"service": "x"}
        crash 1
        show replies c
        "#,
        expect![[r#"
            deploy a
            post c -> df query-ref {"service": "x"}
              journal 0-4 posted [query-ref agent:2]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              journal 0-5 directory [inform client:c]
              mail for c: df -> c inform {"result":[]} conv=c-0-4 re=c-0-4
            crash 1
              crash, 4 records kept
              journal 0-5 directory [inform client:c]
              mail for c: df -> c inform {"result":[]} conv=c-0-4 re=c-0-4
            show replies c
              1
        "#]],
    );
}

#[test]
fn mail_for_an_agent_that_was_removed_meanwhile_is_answered() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request
        turn a ok send {"performative": "request", "receiver": "b", "reply_with": "q"}
        crash
        remove b
        crash 2
        show a
        dead
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            turn a ok send {"performative": "request", "receiver": "b", "reply_with": "q"}
              journal 0-8 turn 2 returned 0 [request agent:11]
              run b 2 message a -> b request null
              host answered send=0
            crash
              crash, 8 records kept
              run b 2 init NodeStart
            remove b
              cancel a-000000000000000b
              event b faulted: agent-stopped: `b` was stopped before its turn ended
              journal 0-9 turn 2 fault agent-stopped
              journal 0-10 refused [request dead:undeliverable] [failure agent:10]
              event dead letter for b: undeliverable: `b` was removed
              journal 0-11 removed
              forget a-000000000000000b
              event b is Stopped: removed
              answer 4: Stopped
              run a 3 init NodeStart
            crash 2
              crash, 9 records kept
              run b 3 init NodeStart
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            dead
        "#]],
    );
}

#[test]
fn a_subscriber_hears_after_a_crash_what_it_missed() {
    check(
        r#"
        deploy a
        post c -> df subscribe conversation_id=w {"service": "x"}
        post c -> a inform
        turn a ok register {"services": [{"name": "x"}]}
        tick 20ms
        crash 1
        crash
        "#,
        expect![[r#"
            deploy a
            post c -> df subscribe conversation_id=w {"service": "x"}
              journal 0-4 posted [subscribe agent:2]
              answer 2: posted m-0-4-0 conv=w to 1 durable
              journal 0-5 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":{"service":"x"}} conv=w re=c-0-4
              mail for c: df -> c inform {"result":[]} conv=w re=c-0-4
            post c -> a inform
              journal 0-6 posted [inform agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 2 message c -> a inform null conv=c-0-6
            turn a ok register {"services": [{"name": "x"}]}
              journal 0-7 turn 2 returned 0
              host answered register=0
            tick 20ms
              journal 0-8 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-0-4
            crash 1
              crash, 7 records kept
              journal 0-8 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-0-4
            crash
              crash, 8 records kept
        "#]],
    );
}

#[test]
fn a_drain_goes_on_and_a_pause_ends_after_a_crash() {
    check(
        r#"
        deploy a
        deploy b
        passivate b
        post c -> a request
        post c -> b request
        stop a drain 1m
        turn b trap
        crash
        show agents
        turn a ok
        turn a ok
        turn a ok
        turn b ok
        turn b ok
        show agents
        "#,
        expect![[r#"
            deploy a
            deploy b
            passivate b
              drop instance b
              event b is Passivated: idle
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 4: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            post c -> b request
              journal 0-8 posted [request agent:11]
              answer 5: posted m-0-8-0 conv=c-0-8 to 1 durable
              run b 2 init Wake
            stop a drain 1m
              journal 0-9 status-changed
              event a is Draining: asked to stop
            turn b trap
              event b faulted: trap: the guest met its trap
              journal 0-10 instance-started
              journal 0-11 turn 2 fault trap
              journal 0-12 status-changed
              event b is Restarting: its init failed: the guest met its trap
            crash
              crash, 12 records kept
              run a 2 init NodeStart
              run b 3 init NodeStart
            show agents
              a:Draining b:Restarting
            turn a ok
              journal 0-13 instance-started
              journal 0-14 turn 2 returned 0
              run a 3 message c -> a request null conv=c-0-7
            turn a ok
              journal 0-15 turn 3 returned 0
              run a 4 shutdown
            turn a ok
              journal 0-16 turn 4 returned 0
              drop instance a
              journal 0-17 status-changed
              event a is Stopped: stopped
            turn b ok
              journal 0-18 instance-started
              journal 0-19 turn 3 returned 0
              journal 0-20 status-changed
              event b is Running: restarted
              run b 4 message c -> b request null conv=c-0-8
            turn b ok
              journal 0-21 turn 4 returned 0
            show agents
              a:Stopped b:Running
        "#]],
    );
}

#[test]
fn a_memory_agents_message_is_recorded_where_it_arrives() {
    check(
        r#"
        deploy a
        deploy m memory
        post c -> m request
        turn m ok send {"performative": "request", "receiver": "a", "content": 1} ; send {"performative": "request", "receiver": "a", "content": 2} ; reply inform 3
        crash
        turn a ok
        turn a ok
        show a
        post c -> m request
        turn m ok
        turn m ok send {"performative": "request", "receiver": "a", "content": 4}
        turn a ok
        show a
        "#,
        expect![[r#"
            deploy a
            deploy m memory
            post c -> m request
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 memory
              run m 2 message c -> m request null conv=c-0-7
            turn m ok send {"performative": "request", "receiver": "a", "content": 1} ; send {"performative": "request", "receiver": "a", "content": 2} ; reply inform 3
              journal 0-9 accepted m-0-8-0 m-0-8-1
              mail for c: m -> c inform 3 conv=c-0-7 re=c-0-7
              run a 2 message m -> a request 1
              host answered send=0 send=0 reply=0
            crash
              crash, 5 records kept
              run a 2 init NodeStart
            turn a ok
              journal 0-10 instance-started
              journal 0-11 turn 2 returned 0
              run a 3 message m -> a request 1
            turn a ok
              journal 0-12 turn 3 returned 0
              run a 4 message m -> a request 2
            show a
              Running version 1.0.0 turns 3 errors 0 faults 0 mail 1 timers [] subscriptions 0 state 0
            post c -> m request
              answer 4: posted m-0-13-0 conv=c-0-13 to 1 memory
              run m 1 init NodeStart
            turn m ok
              run m 2 message c -> m request null conv=c-0-13
            turn m ok send {"performative": "request", "receiver": "a", "content": 4}
              journal 0-17 accepted m-0-16-0
              host answered send=0
            turn a ok
              journal 0-18 turn 4 returned 0
              run a 5 message m -> a request 4
            show a
              Running version 1.0.0 turns 4 errors 0 faults 0 mail 1 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn starting_a_node_starts_no_agent() {
    check(
        r#"
        deploy a
        deploy b
        crash
        tick 1h
        show agents
        "#,
        expect![[r#"
            deploy a
            deploy b
            crash
              crash, 6 records kept
            tick 1h
            show agents
              a:Running b:Running
        "#]],
    );
}

#[test]
fn agents_on_two_shards_talk() {
    check_on(
        2,
        r#"
        deploy a
        deploy b
        deploy d
        post c -> a request {"n": 1}
        turn a ok send {"performative": "request", "receiver": ["b", "d"], "reply_with": "x"}
        turn b ok reply inform 1
        turn d trap
        turn a ok
        turn a ok reply inform {"n": 1}
        crash
        show conversation c-0-2
        "#,
        expect![[r#"
            deploy a
            deploy b
            deploy d
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 4: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            turn a ok send {"performative": "request", "receiver": ["b", "d"], "reply_with": "x"}
              journal 1-7 turn 2 returned 0 [request agent:11 agent:12]
              run d 2 message a -> ["b","d"] request null
              host answered send=0
              run b 2 message a -> ["b","d"] request null
            turn b ok reply inform 1
              journal 0-5 turn 2 returned 0 [inform agent:10]
              host answered reply=0
              run a 3 message b -> a inform 1 re=x
            turn d trap
              event d faulted: trap: the guest met its trap
              journal 1-8 turn 2 fault trap [failure agent:10]
            turn a ok
              journal 1-9 turn 3 returned 0
              run a 4 message d -> a failure {"error":"the guest met its trap","code":"trap","agent":"d"} re=x
            turn a ok reply inform {"n": 1}
              journal 1-10 turn 4 returned 0 [inform agent:12]
              run d 3 init AfterFault
              host answered reply=0
            crash
              crash, 15 records kept
              run d 3 init NodeStart
            show conversation c-0-2
              nothing
        "#]],
    );
}

#[test]
fn a_change_is_told_to_subscribers_of_other_shards() {
    check_on(
        3,
        r#"
        deploy a
        deploy b
        deploy d
        post c -> df subscribe conversation_id=w {"service": "x"}
        post e -> df subscribe conversation_id=w {"service": "x"}
        post f -> df subscribe conversation_id=w {"service": "x"}
        post c -> a inform
        turn a ok register {"services": [{"name": "x"}]}
        tick 20ms
        post c -> b inform
        turn b ok register {"services": [{"name": "x"}]}
        tick 20ms
        "#,
        expect![[r#"
            deploy a
            deploy b
            deploy d
            post c -> df subscribe conversation_id=w {"service": "x"}
              journal 1-7 posted [subscribe agent:2]
              answer 4: posted m-1-7-0 conv=w to 1 durable
              journal 1-8 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":{"service":"x"}} conv=w re=c-1-7
              mail for c: df -> c inform {"result":[]} conv=w re=c-1-7
            post e -> df subscribe conversation_id=w {"service": "x"}
              journal 1-9 posted [subscribe agent:2]
              answer 5: posted m-1-9-0 conv=w to 1 durable
              journal 1-10 directory [agree client:e] [inform client:e]
              mail for e: df -> e agree {"subscribed":{"service":"x"}} conv=w re=c-1-9
              mail for e: df -> e inform {"result":[]} conv=w re=c-1-9
            post f -> df subscribe conversation_id=w {"service": "x"}
              journal 1-11 posted [subscribe agent:2]
              answer 6: posted m-1-11-0 conv=w to 1 durable
              journal 1-12 directory [agree client:f] [inform client:f]
              mail for f: df -> f agree {"subscribed":{"service":"x"}} conv=w re=c-1-11
              mail for f: df -> f inform {"result":[]} conv=w re=c-1-11
            post c -> a inform
              journal 1-13 posted [inform agent:10]
              answer 7: posted m-1-13-0 conv=c-1-13 to 1 durable
              run a 2 message c -> a inform null conv=c-1-13
            turn a ok register {"services": [{"name": "x"}]}
              journal 1-14 turn 2 returned 0
              host answered register=0
            tick 20ms
              journal 1-15 directory [inform client:c]
              journal 1-16 directory [inform client:e]
              journal 1-17 directory [inform client:f]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-7
              mail for e: df -> e inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-9
              mail for f: df -> f inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-11
            post c -> b inform
              journal 1-18 posted [inform agent:11]
              answer 8: posted m-1-18-0 conv=c-1-18 to 1 durable
              run b 2 message c -> b inform null conv=c-1-18
            turn b ok register {"services": [{"name": "x"}]}
              journal 0-4 turn 2 returned 0
              host answered register=0
            tick 20ms
              journal 1-19 directory [inform client:c]
              journal 1-20 directory [inform client:e]
              journal 1-21 directory [inform client:f]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]},{"name":"b","id":"a-000000000000000b","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-7
              mail for e: df -> e inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]},{"name":"b","id":"a-000000000000000b","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-9
              mail for f: df -> f inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]},{"name":"b","id":"a-000000000000000b","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=c-1-11
        "#]],
    );
}

#[test]
fn numbers_that_live_on_elsewhere_are_not_given_again() {
    check_on(
        2,
        r#"
        deploy a
        deploy m memory
        post c -> m request
        turn m ok send {"performative": "request", "receiver": "a", "content": 1}
        crash
        post c -> m request
        turn m ok
        turn m ok send {"performative": "request", "receiver": "a", "content": 2}
        turn a ok
        turn a ok
        turn a ok
        "#,
        expect![[r#"
            deploy a
            deploy m memory
            post c -> m request
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 memory
              run m 2 message c -> m request null conv=c-0-4
            turn m ok send {"performative": "request", "receiver": "a", "content": 1}
              host answered send=0
              journal 1-4 accepted m-0-5-0
              run a 2 message m -> a request 1
            crash
              crash, 5 records kept
              run a 2 init NodeStart
            post c -> m request
              answer 4: posted m-0-6-0 conv=c-0-6 to 1 memory
              run m 1 init NodeStart
            turn m ok
              run m 2 message c -> m request null conv=c-0-6
            turn m ok send {"performative": "request", "receiver": "a", "content": 2}
              host answered send=0
              journal 1-5 accepted m-0-9-0
            turn a ok
              journal 1-6 instance-started
              journal 1-7 turn 2 returned 0
              run a 3 message m -> a request 1
            turn a ok
              journal 1-8 turn 3 returned 0
              run a 4 message m -> a request 2
            turn a ok
              journal 1-9 turn 4 returned 0
        "#]],
    );
}

#[test]
fn wherever_an_update_is_cut_off_migrate_runs_once_and_before_the_next_message() {
    let script = [
        "deploy a",
        "post c -> a request {\"n\": 1}",
        "update a version=2.0.0",
        "turn a ok",
        "post c -> a request {\"n\": 2}",
        "turn a ok",
        "turn a ok",
        "turn a ok",
    ];
    let mut cut = 0;
    for lost in 0.. {
        let mut run = Script::new(1);
        script.iter().for_each(|line| run.line(line));
        if lost > run.world.journal.len() - 4 {
            break;
        }
        run.line(&format!("crash {lost}"));
        run.check_replay();
        let updated = |entry: &Entry| matches!(entry.record, Record::Updated { .. });
        let was_updated = run.world.journal.iter().any(|entry| updated(entry));
        for _ in 0..8 {
            let running: Vec<_> = run.world.running.keys().copied().collect();
            for id in running {
                run.world.end_turn(id, |_, _| Ok(0));
            }
        }
        run.check_replay();
        let mut migrations = 0;
        let mut version_2 = false;
        for entry in &run.world.journal {
            version_2 |= updated(entry);
            let Record::Turn(turn) = &entry.record else {
                continue;
            };
            match turn.input {
                InputRef::Migrate(_) => migrations += 1,
                InputRef::Message(_) => assert_eq!(
                    migrations,
                    u32::from(version_2),
                    "no message before migrate: {}",
                    run.world.transcript
                ),
                _ => {}
            }
        }
        assert_eq!(
            migrations,
            u32::from(was_updated),
            "{}",
            run.world.transcript
        );
        let agent = run.world.agent(AgentId(10)).unwrap();
        assert!(agent.mailbox.is_empty(), "{}", run.world.transcript);
        let version = if was_updated { "2.0.0" } else { "1.0.0" };
        assert_eq!(agent.spec.version, version);
        cut += 1;
    }
    assert!(cut >= 9, "every record of the update was the last one once");
}
