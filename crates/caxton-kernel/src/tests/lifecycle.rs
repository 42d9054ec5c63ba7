//! Deploy, stop, start, update, remove, passivation.

use expect_test::expect;

use super::script::check;

#[test]
fn a_failing_init_refuses_the_deploy_and_leaves_nothing() {
    check(
        r#"
        deploy a init=return1
        deploy a init=trap
        show agents
        deploy a
        deploy b init=hold
        post c -> b inform
        turn b ok timer 1m ; register {"services": [{"name": "x"}]} ; send {"performative": "inform", "receiver": "a", "content": "hello"}
        turn a ok
        "#,
        expect![[r#"
            deploy a init=return1
              run a 1 init Deploy
              forget a-000000000000000a
              event a faulted: init-failed: agent_init returned 1; 0 means success
              answer 1: refused init-failed: `a` did not start: agent_init returned 1; 0 means success
            deploy a init=trap
              run a 1 init Deploy
              forget a-000000000000000b
              event a faulted: trap: the guest met its trap
              answer 2: refused init-failed: `a` did not start: trap: the guest met its trap
            show agents
              nothing
            deploy a
            deploy b init=hold
              run b 1 init Deploy
            post c -> b inform
              answer 5: refused not-found: there is no agent `b`
            turn b ok timer 1m ; register {"services": [{"name": "x"}]} ; send {"performative": "inform", "receiver": "a", "content": "hello"}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0 [inform agent:12]
              event b is Running: deployed
              answer 4: Running
              run a 2 message b -> a inform "hello"
              host answered timer=1 register=0 send=0
            turn a ok
              journal 0-7 turn 2 returned 0
        "#]],
    );
}

#[test]
fn stop_works_off_the_mail_if_asked_to() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        post c -> a request {"n": 2}
        stop a drain 10s
        post c -> a request {"n": 3}
        turn a ok
        turn a ok
        turn a ok
        post c -> a request {"n": 4}
        stop a drain 10s
        start a
        turn a ok
        post c -> a request {"n": 5}
        turn a ok
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
            stop a drain 10s
              journal 0-6 status-changed
              event a is Draining: asked to stop
            post c -> a request {"n": 3}
              answer 5: refused agent-stopped: agent `a` is stopping
            turn a ok
              journal 0-7 turn 2 returned 0
              run a 3 message c -> a request {"n": 2} conv=c-0-5
            turn a ok
              journal 0-8 turn 3 returned 0
              run a 4 shutdown
            turn a ok
              journal 0-9 turn 4 returned 0
              drop instance a
              journal 0-10 status-changed
              event a is Stopped: stopped
              answer 4: Stopped
            post c -> a request {"n": 4}
              answer 6: refused agent-stopped: agent `a` is stopped; start it again
            stop a drain 10s
              answer 7: Stopped
            start a
              event a is Starting: asked to start
              run a 5 init Operator
            turn a ok
              journal 0-11 instance-started
              journal 0-12 turn 5 returned 0
              journal 0-13 status-changed
              event a is Running: started
              answer 8: Running
            post c -> a request {"n": 5}
              journal 0-14 posted [request agent:10]
              answer 9: posted m-0-14-0 conv=c-0-14 to 1 durable
              run a 6 message c -> a request {"n": 5} conv=c-0-14
            turn a ok
              journal 0-15 turn 6 returned 0
        "#]],
    );
}

#[test]
fn stop_without_drain_keeps_the_mail() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        post c -> a request {"n": 2}
        stop a now 10s
        turn a ok
        turn a ok
        show a
        start a
        turn a ok
        turn a ok
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
            stop a now 10s
              journal 0-6 status-changed
              event a is Draining: asked to stop
            turn a ok
              journal 0-7 turn 2 returned 0
              run a 3 shutdown
            turn a ok
              journal 0-8 turn 3 returned 0
              drop instance a
              journal 0-9 status-changed
              event a is Stopped: stopped
              answer 4: Stopped
            show a
              Stopped version 1.0.0 turns 3 errors 0 faults 0 mail 1 timers [] subscriptions 0 state 0
            start a
              event a is Starting: asked to start
              run a 4 init Operator
            turn a ok
              journal 0-10 instance-started
              journal 0-11 turn 4 returned 0
              journal 0-12 status-changed
              event a is Running: started
              answer 5: Running
              run a 5 message c -> a request {"n": 2} conv=c-0-5
            turn a ok
              journal 0-13 turn 5 returned 0
        "#]],
    );
}

#[test]
fn a_stop_that_takes_too_long_cuts_the_turn_off() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        stop a drain 5s
        tick 5s
        turn a ok reply inform {"too": "late"}
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            stop a drain 5s
              journal 0-5 status-changed
              event a is Draining: asked to stop
            tick 5s
              cancel a
              event a faulted: agent-stopped: `a` was stopped before its turn ended
              journal 0-6 turn 2 fault agent-stopped [failure client:c]
              journal 0-7 status-changed
              event a is Stopped: stopped; its time to finish was over
              answer 3: Stopped
              mail for c: a -> c failure {"error":"`a` was stopped before its turn ended","code":"agent-stopped","agent":"a"} conv=c-0-4 re=c-0-4
            turn a ok reply inform {"too": "late"}
              nothing runs
            show a
              Stopped version 1.0.0 turns 2 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn agents_get_a_failure_from_one_that_is_stopped() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a request
        stop b now 1s
        turn b ok
        turn a ok send {"performative": "request", "receiver": "b"}
        show agents
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a request null conv=c-0-7
            stop b now 1s
              journal 0-8 status-changed
              event b is Draining: asked to stop
              run b 2 shutdown
            turn b ok
              journal 0-9 turn 2 returned 0
              drop instance b
              journal 0-10 status-changed
              event b is Stopped: stopped
              answer 4: Stopped
            turn a ok send {"performative": "request", "receiver": "b"}
              journal 0-11 turn 2 returned 0
              host answered send=-8
            show agents
              a:Running b:Stopped
        "#]],
    );
}

#[test]
fn a_failing_start_leaves_it_stopped() {
    check(
        r#"
        deploy a
        stop a now 1s
        turn a ok
        start a
        turn a trap
        show agents
        start a
        turn a ok send {"performative": "inform", "receiver": "c"}
        show agents
        "#,
        expect![[r#"
            deploy a
            stop a now 1s
              journal 0-4 status-changed
              event a is Draining: asked to stop
              run a 2 shutdown
            turn a ok
              journal 0-5 turn 2 returned 0
              drop instance a
              journal 0-6 status-changed
              event a is Stopped: stopped
              answer 2: Stopped
            start a
              event a is Starting: asked to start
              run a 3 init Operator
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-7 instance-started
              journal 0-8 turn 3 fault trap
              answer 3: refused init-failed: `a` did not start: trap: the guest met its trap
              event a is Stopped: its init failed
            show agents
              a:Stopped
            start a
              event a is Starting: asked to start
              run a 4 init Operator
            turn a ok send {"performative": "inform", "receiver": "c"}
              journal 0-9 instance-started
              journal 0-10 turn 4 returned 0
              journal 0-11 status-changed
              event a is Running: started
              answer 4: Running
              host answered send=-1
            show agents
              a:Running
        "#]],
    );
}

#[test]
fn removal_kills_the_mail_and_tells_the_senders() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        post d -> a request {"n": 2}
        remove a
        turn a ok
        post c -> a request {"n": 3}
        dead
        show agents
        deploy a
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
            remove a
              cancel a-000000000000000a
              event a faulted: agent-stopped: `a` was stopped before its turn ended
              journal 0-6 turn 2 fault agent-stopped [failure client:c]
              journal 0-7 refused [request dead:undeliverable] [failure client:d]
              event dead letter for a: undeliverable: `a` was removed
              journal 0-8 removed
              forget a-000000000000000a
              event a is Stopped: removed
              answer 4: Stopped
              mail for c: a -> c failure {"error":"`a` was stopped before its turn ended","code":"agent-stopped","agent":"a"} conv=c-0-4 re=c-0-4
              mail for d: a -> d failure {"error":"`a` was removed","code":"undeliverable","agent":"a"} conv=c-0-5 re=c-0-5
            turn a ok
              nothing runs
            post c -> a request {"n": 3}
              answer 5: refused not-found: there is no agent `a`
            dead
              m-0-7-0 for a undeliverable: d -> a request {"n": 2} conv=c-0-5
            show agents
              nothing
            deploy a
        "#]],
    );
}

#[test]
fn an_update_switches_when_the_new_init_was_good() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        update a version=2.0.0
        post c -> a request {"n": 2}
        turn a ok reply inform {"by": "old"}
        turn a ok send {"performative": "inform", "receiver": "c", "content": "new"}
        turn a ok
        turn a ok reply inform {"by": "new"}
        show a
        rollback a
        turn a ok
        turn a ok
        show a
        rollback a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            update a version=2.0.0
            post c -> a request {"n": 2}
              journal 0-5 posted [request agent:10]
              answer 4: posted m-0-5-0 conv=c-0-5 to 1 durable
            turn a ok reply inform {"by": "old"}
              journal 0-6 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"old"} conv=c-0-4 re=c-0-4
              drop instance a
              run a 3 init Update
              host answered reply=0
            turn a ok send {"performative": "inform", "receiver": "c", "content": "new"}
              journal 0-7 updated
              journal 0-8 instance-started
              journal 0-9 turn 3 returned 0 [inform client:c]
              mail for c: a -> c inform "new"
              run a 4 migrate from 1.0.0
              host answered send=0
            turn a ok
              journal 0-10 turn 4 returned 0
              journal 0-11 status-changed
              event a is Running: updated to 2.0.0
              answer 3: Running
              run a 5 message c -> a request {"n": 2} conv=c-0-5
            turn a ok reply inform {"by": "new"}
              journal 0-12 turn 5 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"new"} conv=c-0-5 re=c-0-5
              host answered reply=0
            show a
              Running version 2.0.0 turns 5 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            rollback a
              drop instance a
              run a 6 init Update
            turn a ok
              journal 0-13 updated
              journal 0-14 instance-started
              journal 0-15 turn 6 returned 0
              run a 7 migrate from 2.0.0
            turn a ok
              journal 0-16 turn 7 returned 0
              journal 0-17 status-changed
              event a is Running: rolled back to 1.0.0
              answer 5: Running
            show a
              Running version 1.0.0 turns 7 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            rollback a
              answer 6: refused conflict: `a` has no earlier version
        "#]],
    );
}

#[test]
fn an_update_with_a_failing_init_changes_nothing() {
    check(
        r#"
        deploy a
        update a version=2.0.0
        turn a trap
        show a
        post c -> a request
        turn a ok
        turn a ok reply inform {"by": "old"}
        "#,
        expect![[r#"
            deploy a
            update a version=2.0.0
              drop instance a
              run a 2 init Update
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-4 instance-started
              journal 0-5 turn 2 fault trap
              answer 2: refused init-failed: `a` did not start: trap: the guest met its trap
            show a
              Running version 1.0.0 turns 2 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
            post c -> a request
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init AfterFault
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 message c -> a request null conv=c-0-6
            turn a ok reply inform {"by": "old"}
              journal 0-9 turn 4 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"old"} conv=c-0-6 re=c-0-6
              host answered reply=0
        "#]],
    );
}

#[test]
fn an_update_with_a_failing_migrate_is_taken_back() {
    check(
        r#"
        deploy a
        update a version=2.0.0
        turn a ok
        turn a trap
        show a
        post c -> a request
        turn a ok
        turn a ok reply inform {"by": "old"}
        "#,
        expect![[r#"
            deploy a
            update a version=2.0.0
              drop instance a
              run a 2 init Update
            turn a ok
              journal 0-4 updated
              journal 0-5 instance-started
              journal 0-6 turn 2 returned 0
              run a 3 migrate from 1.0.0
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-7 turn 3 fault trap
              journal 0-8 updated
              answer 2: refused init-failed: `a` did not start: trap: the guest met its trap
            show a
              Running version 1.0.0 turns 3 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
            post c -> a request
              journal 0-9 posted [request agent:10]
              answer 3: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 4 init AfterFault
            turn a ok
              journal 0-10 instance-started
              journal 0-11 turn 4 returned 0
              run a 5 message c -> a request null conv=c-0-9
            turn a ok reply inform {"by": "old"}
              journal 0-12 turn 5 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"old"} conv=c-0-9 re=c-0-9
              host answered reply=0
        "#]],
    );
}

#[test]
fn an_update_to_the_same_version_migrates_nothing() {
    check(
        r#"
        deploy a
        update a memory=1MiB
        turn a ok
        update a group=g:all
        stop a now 1s
        turn a ok
        update a version=3.0.0
        show a
        "#,
        expect![[r#"
            deploy a
            update a memory=1MiB
              drop instance a
              run a 2 init Update
            turn a ok
              journal 0-4 updated
              journal 0-5 instance-started
              journal 0-6 turn 2 returned 0
              journal 0-7 status-changed
              event a is Running: updated to 1.0.0
              answer 2: Running
            update a group=g:all
              drop instance a
              run a 3 init Update
            stop a now 1s
              answer 4: refused conflict: `a` is being updated; try again when that is done
            turn a ok
              journal 0-8 updated
              journal 0-9 instance-started
              journal 0-10 turn 3 returned 0
              event a is Running: updated to 1.0.0
              answer 3: Running
            update a version=3.0.0
              drop instance a
              run a 4 init Update
            show a
              Running version 1.0.0 turns 3 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn an_idle_agent_lets_go_of_its_instance() {
    check(
        r#"
        deploy a passivate=10s
        tick 9s
        post c -> a request
        turn a ok
        tick 9s
        show agents
        tick 1s
        show agents
        post c -> a request
        turn a ok send {"performative": "inform", "receiver": "c", "content": "dropped: only a wake"}
        turn a ok reply inform {"awake": true}
        passivate a
        show agents
        "#,
        expect![[r#"
            deploy a passivate=10s
            tick 9s
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            turn a ok
              journal 0-5 turn 2 returned 0
            tick 9s
            show agents
              a:Running
            tick 1s
              drop instance a
              event a is Passivated: idle
            show agents
              a:Passivated
            post c -> a request
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init Wake
            turn a ok send {"performative": "inform", "receiver": "c", "content": "dropped: only a wake"}
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              event a is Running: woken
              run a 4 message c -> a request null conv=c-0-6
              host answered send=0
            turn a ok reply inform {"awake": true}
              journal 0-9 turn 4 returned 0 [inform client:c]
              mail for c: a -> c inform {"awake":true} conv=c-0-6 re=c-0-6
              host answered reply=0
            passivate a
              drop instance a
              event a is Passivated: idle
            show agents
              a:Passivated
        "#]],
    );
}

#[test]
fn one_thing_at_a_time() {
    check(
        r#"
        deploy a
        post c -> a request
        update a version=2.0.0
        stop a now 1s
        start a
        remove a
        "#,
        expect![[r#"
            deploy a
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            update a version=2.0.0
            stop a now 1s
              answer 4: refused conflict: `a` is being updated; try again when that is done
            start a
              answer 5: refused conflict: `a` is being updated; try again when that is done
            remove a
              cancel a-000000000000000a
              event a faulted: agent-stopped: `a` was stopped before its turn ended
              journal 0-5 turn 2 fault agent-stopped [failure client:c]
              answer 3: refused conflict: `a` was removed
              journal 0-6 removed
              forget a-000000000000000a
              event a is Stopped: removed
              answer 6: Stopped
              mail for c: a -> c failure {"error":"`a` was stopped before its turn ended","code":"agent-stopped","agent":"a"} conv=c-0-4 re=c-0-4
        "#]],
    );
}

#[test]
fn the_late_end_of_a_turn_that_was_cut_off_is_ignored() {
    check(
        r#"
        deploy a
        post c -> a request
        stop a now 1s
        tick 1s
        late a 2
        start a
        late a 2
        turn a ok
        late a 3
        late a 9
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            stop a now 1s
              journal 0-5 status-changed
              event a is Draining: asked to stop
            tick 1s
              cancel a
              event a faulted: agent-stopped: `a` was stopped before its turn ended
              journal 0-6 turn 2 fault agent-stopped [failure client:c]
              journal 0-7 status-changed
              event a is Stopped: stopped; its time to finish was over
              answer 3: Stopped
              mail for c: a -> c failure {"error":"`a` was stopped before its turn ended","code":"agent-stopped","agent":"a"} conv=c-0-4 re=c-0-4
            late a 2
            start a
              event a is Starting: asked to start
              run a 3 init Operator
            late a 2
            turn a ok
              journal 0-8 instance-started
              journal 0-9 turn 3 returned 0
              journal 0-10 status-changed
              event a is Running: started
              answer 4: Running
            late a 3
            late a 9
            show a
              Running version 1.0.0 turns 3 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn an_init_of_the_old_version_is_not_taken_for_the_new_ones() {
    check(
        r#"
        deploy a
        post c -> a request
        turn a trap
        post c -> a request
        update a version=2.0.0
        turn a ok
        turn a ok
        turn a ok
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request null conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
            post c -> a request
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init AfterFault
            update a version=2.0.0
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              drop instance a
              run a 4 init Update
            turn a ok
              journal 0-9 updated
              journal 0-10 instance-started
              journal 0-11 turn 4 returned 0
              run a 5 migrate from 1.0.0
            turn a ok
              journal 0-12 turn 5 returned 0
              journal 0-13 status-changed
              event a is Running: updated to 2.0.0
              answer 4: Running
              run a 6 message c -> a request null conv=c-0-6
            show a
              Running version 2.0.0 turns 5 errors 0 faults 1 mail 1 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn an_update_that_the_shutdown_meets_is_refused_and_migrates_after_the_restart() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        update a version=2.0.0
        turn a ok
        post c -> a request {"n": 2}
        quiesce
        turn a ok
        show a
        crash
        turn a ok
        turn a ok
        turn a ok reply inform {"by": "new"}
        show a
        rollback a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            update a version=2.0.0
            turn a ok
              journal 0-5 turn 2 returned 0
              drop instance a
              run a 3 init Update
            post c -> a request {"n": 2}
              journal 0-6 posted [request agent:10]
              answer 4: posted m-0-6-0 conv=c-0-6 to 1 durable
            quiesce
            turn a ok
              journal 0-7 updated
              journal 0-8 instance-started
              journal 0-9 turn 3 returned 0
              answer 3: refused shutting-down: the node is going down; `a` is at 2.0.0, and its migrate runs after the next start
            show a
              Running version 2.0.0 turns 3 errors 0 faults 0 mail 1 timers [] subscriptions 0 state 0
            crash
              crash, 9 records kept
              run a 4 init NodeStart
            turn a ok
              journal 0-10 instance-started
              journal 0-11 turn 4 returned 0
              run a 5 migrate from 1.0.0
            turn a ok
              journal 0-12 turn 5 returned 0
              journal 0-13 status-changed
              run a 6 message c -> a request {"n": 2} conv=c-0-6
            turn a ok reply inform {"by": "new"}
              journal 0-14 turn 6 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"new"} conv=c-0-6 re=c-0-6
              host answered reply=0
            show a
              Running version 2.0.0 turns 6 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            rollback a
              drop instance a
              run a 7 init Update
        "#]],
    );
}

#[test]
fn an_update_that_has_not_begun_when_the_node_goes_down_changes_nothing() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        update a version=2.0.0
        quiesce
        turn a ok
        show a
        crash
        show a
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            update a version=2.0.0
            quiesce
            turn a ok
              journal 0-5 turn 2 returned 0
              answer 3: refused shutting-down: the node is going down
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            crash
              crash, 5 records kept
            show a
              Running version 1.0.0 turns 2 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_migrate_that_fails_after_the_restart_brings_the_version_before_back() {
    check(
        r#"
        deploy a
        update a version=2.0.0
        turn a ok
        crash
        turn a ok
        turn a trap
        show a
        post c -> a request
        turn a ok
        turn a ok reply inform {"by": "old"}
        "#,
        expect![[r#"
            deploy a
            update a version=2.0.0
              drop instance a
              run a 2 init Update
            turn a ok
              journal 0-4 updated
              journal 0-5 instance-started
              journal 0-6 turn 2 returned 0
              run a 3 migrate from 1.0.0
            crash
              crash, 6 records kept
              run a 3 init NodeStart
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 migrate from 1.0.0
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-9 turn 4 fault trap
              journal 0-10 updated
              journal 0-11 status-changed
            show a
              Running version 1.0.0 turns 4 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
            post c -> a request
              journal 0-12 posted [request agent:10]
              answer 3: posted m-0-12-0 conv=c-0-12 to 1 durable
              run a 5 init AfterFault
            turn a ok
              journal 0-13 instance-started
              journal 0-14 turn 5 returned 0
              run a 6 message c -> a request null conv=c-0-12
            turn a ok reply inform {"by": "old"}
              journal 0-15 turn 6 returned 0 [inform client:c]
              mail for c: a -> c inform {"by":"old"} conv=c-0-12 re=c-0-12
              host answered reply=0
        "#]],
    );
}

#[test]
fn what_is_updated_while_it_is_stopped_migrates_when_it_is_started() {
    check(
        r#"
        deploy a
        stop a now 1s
        turn a ok
        update a version=2.0.0
        update a version=3.0.0
        start a
        turn a ok
        turn a ok
        show a
        stop a now 1s
        turn a ok
        update a version=4.0.0
        start a
        turn a ok
        turn a trap
        show a
        update a version=5.0.0
        rollback a
        start a
        turn a ok
        "#,
        expect![[r#"
            deploy a
            stop a now 1s
              journal 0-4 status-changed
              event a is Draining: asked to stop
              run a 2 shutdown
            turn a ok
              journal 0-5 turn 2 returned 0
              drop instance a
              journal 0-6 status-changed
              event a is Stopped: stopped
              answer 2: Stopped
            update a version=2.0.0
              journal 0-7 updated
              answer 3: Stopped
            update a version=3.0.0
              journal 0-8 updated
              answer 4: Stopped
            start a
              event a is Starting: asked to start
              run a 3 init Operator
            turn a ok
              journal 0-9 instance-started
              journal 0-10 turn 3 returned 0
              run a 4 migrate from 1.0.0
            turn a ok
              journal 0-11 turn 4 returned 0
              journal 0-12 status-changed
              event a is Running: started
              answer 5: Running
            show a
              Running version 3.0.0 turns 4 errors 0 faults 0 mail 0 timers [] subscriptions 0 state 0
            stop a now 1s
              journal 0-13 status-changed
              event a is Draining: asked to stop
              run a 5 shutdown
            turn a ok
              journal 0-14 turn 5 returned 0
              drop instance a
              journal 0-15 status-changed
              event a is Stopped: stopped
              answer 6: Stopped
            update a version=4.0.0
              journal 0-16 updated
              answer 7: Stopped
            start a
              event a is Starting: asked to start
              run a 6 init Operator
            turn a ok
              journal 0-17 instance-started
              journal 0-18 turn 6 returned 0
              run a 7 migrate from 3.0.0
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-19 turn 7 fault trap
              journal 0-20 updated
              answer 8: refused init-failed: `a` did not start: trap: the guest met its trap
              event a is Stopped: its init failed
            show a
              Stopped version 3.0.0 turns 7 errors 0 faults 1 mail 0 timers [] subscriptions 0 state 0
            update a version=5.0.0
              journal 0-21 updated
              answer 9: Stopped
            rollback a
              journal 0-22 updated
              answer 10: Stopped
            start a
              event a is Starting: asked to start
              run a 8 init Operator
            turn a ok
              journal 0-23 instance-started
              journal 0-24 turn 8 returned 0
              journal 0-25 status-changed
              event a is Running: started
              answer 11: Running
        "#]],
    );
}
