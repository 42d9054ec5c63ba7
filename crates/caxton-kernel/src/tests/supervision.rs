//! Failing inits: pauses, patience, groups.

use expect_test::expect;

use super::script::check;

#[test]
fn a_failing_init_is_tried_again_with_longer_pauses() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        turn a trap
        post c -> a request {"n": 2}
        turn a trap
        tick 99ms
        tick 1ms
        turn a trap
        tick 199ms
        tick 1ms
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
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 turn 2 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
            post c -> a request {"n": 2}
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-7 instance-started
              journal 0-8 turn 3 fault trap
              journal 0-9 status-changed
              event a is Restarting: its init failed: the guest met its trap
            tick 99ms
            tick 1ms
              run a 4 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 instance-started
              journal 0-11 turn 4 fault trap
            tick 199ms
            tick 1ms
              run a 5 init AfterFault
            turn a ok
              journal 0-12 instance-started
              journal 0-13 turn 5 returned 0
              journal 0-14 status-changed
              event a is Running: restarted
              run a 6 message c -> a request {"n": 2} conv=c-0-6
            turn a ok reply inform {"n": 2}
              journal 0-15 turn 6 returned 0 [inform client:c]
              mail for c: a -> c inform {"n":2} conv=c-0-6 re=c-0-6
              host answered reply=0
            show a
              Running version 1.0.0 turns 6 errors 0 faults 3 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn after_five_failed_inits_it_has_failed() {
    check(
        r#"
        deploy a
        passivate a
        post c -> a request {"n": 1}
        turn a trap
        tick 100ms
        turn a trap
        tick 200ms
        turn a trap
        tick 400ms
        turn a return1
        tick 800ms
        turn a trap
        post c -> a request {"n": 2}
        start a
        turn a ok
        show agents
        "#,
        expect![[r#"
            deploy a
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 instance-started
              journal 0-6 turn 2 fault trap
              journal 0-7 status-changed
              event a is Restarting: its init failed: the guest met its trap
            tick 100ms
              run a 3 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-8 instance-started
              journal 0-9 turn 3 fault trap
            tick 200ms
              run a 4 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 instance-started
              journal 0-11 turn 4 fault trap
            tick 400ms
              run a 5 init AfterFault
            turn a return1
              drop instance a
              journal 0-12 instance-started
              journal 0-13 turn 5 fault init-failed
              journal 0-14 status-changed
            tick 800ms
              run a 6 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-15 instance-started
              journal 0-16 turn 6 fault trap
              journal 0-17 status-changed
              event a is Failed: 5 failed inits; the last: the guest met its trap
              journal 0-18 refused [request dead:agent-failed] [failure client:c]
              event dead letter for a: agent-failed: agent `a` has failed; start it again
              mail for c: a -> c failure {"error":"agent `a` has failed; start it again","code":"agent-failed","agent":"a"} conv=c-0-4 re=c-0-4
            post c -> a request {"n": 2}
              answer 4: refused agent-failed: agent `a` has failed; start it again
            start a
              event a is Starting: asked to start
              run a 7 init Operator
            turn a ok
              journal 0-19 instance-started
              journal 0-20 turn 7 returned 0
              journal 0-21 status-changed
              event a is Running: started
              answer 5: Running
            show agents
              a:Running
        "#]],
    );
}

#[test]
fn failures_outside_the_window_do_not_count() {
    check(
        r#"
        deploy a
        passivate a
        post c -> a request {"n": 1}
        turn a trap
        tick 100ms
        turn a trap
        tick 200ms
        turn a trap
        tick 400ms
        turn a trap
        tick 61s
        turn a trap
        show agents
        "#,
        expect![[r#"
            deploy a
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 instance-started
              journal 0-6 turn 2 fault trap
              journal 0-7 status-changed
              event a is Restarting: its init failed: the guest met its trap
            tick 100ms
              run a 3 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-8 instance-started
              journal 0-9 turn 3 fault trap
            tick 200ms
              run a 4 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 instance-started
              journal 0-11 turn 4 fault trap
            tick 400ms
              run a 5 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-12 instance-started
              journal 0-13 turn 5 fault trap
            tick 61s
              run a 6 init AfterFault
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-14 instance-started
              journal 0-15 turn 6 fault trap
            show agents
              a:Restarting
        "#]],
    );
}

#[test]
fn a_temporary_agent_gets_one_chance() {
    check(
        r#"
        deploy a restart=temporary
        passivate a
        post c -> a request {"n": 1}
        turn a trap
        show agents
        "#,
        expect![[r#"
            deploy a restart=temporary
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 instance-started
              journal 0-6 turn 2 fault trap
              journal 0-7 status-changed
              event a is Failed: 1 failed inits; the last: the guest met its trap
              journal 0-8 refused [request dead:agent-failed] [failure client:c]
              event dead letter for a: agent-failed: agent `a` has failed; start it again
              mail for c: a -> c failure {"error":"agent `a` has failed; start it again","code":"agent-failed","agent":"a"} conv=c-0-4 re=c-0-4
            show agents
              a:Failed
        "#]],
    );
}

#[test]
fn one_for_all_restarts_the_group() {
    check(
        r#"
        deploy a group=g:all
        deploy b group=g:all
        deploy x group=h:all
        deploy y
        post c -> b request
        passivate a
        post c -> a request
        turn a trap
        turn b ok reply inform {"last": "turn of this instance"}
        turn b ok
        tick 100ms
        turn a ok
        turn a ok
        "#,
        expect![[r#"
            deploy a group=g:all
            deploy b group=g:all
            deploy x group=h:all
            deploy y
            post c -> b request
              journal 0-13 posted [request agent:11]
              answer 5: posted m-0-13-0 conv=c-0-13 to 1 durable
              run b 2 message c -> b request null conv=c-0-13
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request
              journal 0-14 posted [request agent:10]
              answer 7: posted m-0-14-0 conv=c-0-14 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-15 instance-started
              journal 0-16 turn 2 fault trap
              journal 0-17 status-changed
              event a is Restarting: its init failed: the guest met its trap
            turn b ok reply inform {"last": "turn of this instance"}
              drop instance b
              journal 0-18 turn 2 returned 0 [inform client:c]
              mail for c: b -> c inform {"last":"turn of this instance"} conv=c-0-13 re=c-0-13
              run b 3 init Group
              host answered reply=0
            turn b ok
              journal 0-19 instance-started
              journal 0-20 turn 3 returned 0
            tick 100ms
              run a 3 init AfterFault
            turn a ok
              journal 0-21 instance-started
              journal 0-22 turn 3 returned 0
              journal 0-23 status-changed
              event a is Running: restarted
              run a 4 message c -> a request null conv=c-0-14
            turn a ok
              journal 0-24 turn 4 returned 0
        "#]],
    );
}

#[test]
fn rest_for_one_restarts_those_deployed_later() {
    check(
        r#"
        deploy a group=g:rest
        deploy b group=g:rest
        deploy z group=g:rest
        passivate b
        post c -> b request
        turn b trap
        turn z ok
        tick 100ms
        turn b ok
        turn b ok
        show agents
        "#,
        expect![[r#"
            deploy a group=g:rest
            deploy b group=g:rest
            deploy z group=g:rest
            passivate b
              drop instance b
              event b is Passivated: idle
            post c -> b request
              journal 0-10 posted [request agent:11]
              answer 5: posted m-0-10-0 conv=c-0-10 to 1 durable
              run b 2 init Wake
            turn b trap
              event b faulted: trap: the guest met its trap
              journal 0-11 instance-started
              journal 0-12 turn 2 fault trap
              journal 0-13 status-changed
              event b is Restarting: its init failed: the guest met its trap
              drop instance z
              run z 2 init Group
            turn z ok
              journal 0-14 instance-started
              journal 0-15 turn 2 returned 0
            tick 100ms
              run b 3 init AfterFault
            turn b ok
              journal 0-16 instance-started
              journal 0-17 turn 3 returned 0
              journal 0-18 status-changed
              event b is Running: restarted
              run b 4 message c -> b request null conv=c-0-10
            turn b ok
              journal 0-19 turn 4 returned 0
            show agents
              a:Running b:Running z:Running
        "#]],
    );
}

#[test]
fn one_for_one_restarts_nobody_else() {
    check(
        r#"
        deploy a group=g:one
        deploy b group=g:one
        passivate a
        post c -> a request
        turn a trap
        "#,
        expect![[r#"
            deploy a group=g:one
            deploy b group=g:one
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request
              journal 0-7 posted [request agent:10]
              answer 4: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-8 instance-started
              journal 0-9 turn 2 fault trap
              journal 0-10 status-changed
              event a is Restarting: its init failed: the guest met its trap
        "#]],
    );
}

#[test]
fn a_node_without_room_is_no_failing_of_the_agents() {
    check(
        r#"
        deploy a
        passivate a
        post c -> a request {"n": 1}
        turn a node-budget
        post c -> a request {"n": 2}
        tick 100ms
        turn a node-budget
        tick 100ms
        post c -> a request {"n": 3}
        turn a ok
        turn a node-budget
        post c -> a request {"n": 4}
        turn a ok
        turn a node-budget
        post c -> a request {"n": 5}
        turn a ok
        turn a node-budget
        post c -> a request {"n": 6}
        turn a ok
        turn a ok
        show a
        "#,
        expect![[r#"
            deploy a
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 init Wake
            turn a node-budget
              event a faulted: node-budget: the guest met its node-budget
              journal 0-5 instance-started
              journal 0-6 turn 2 fault node-budget
              journal 0-7 refused [request dead:node-budget] [failure client:c]
              event dead letter for a: node-budget: the guest met its node-budget
              mail for c: a -> c failure {"error":"the guest met its node-budget","code":"node-budget","agent":"a"} conv=c-0-4 re=c-0-4
            post c -> a request {"n": 2}
              journal 0-8 posted [request agent:10]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
            tick 100ms
              run a 3 init Wake
            turn a node-budget
              event a faulted: node-budget: the guest met its node-budget
              journal 0-9 instance-started
              journal 0-10 turn 3 fault node-budget
              journal 0-11 refused [request dead:node-budget] [failure client:c]
              event dead letter for a: node-budget: the guest met its node-budget
              mail for c: a -> c failure {"error":"the guest met its node-budget","code":"node-budget","agent":"a"} conv=c-0-8 re=c-0-8
            tick 100ms
            post c -> a request {"n": 3}
              journal 0-12 posted [request agent:10]
              answer 5: posted m-0-12-0 conv=c-0-12 to 1 durable
              run a 4 init Wake
            turn a ok
              journal 0-13 instance-started
              journal 0-14 turn 4 returned 0
              event a is Running: woken
              run a 5 message c -> a request {"n": 3} conv=c-0-12
            turn a node-budget
              event a faulted: node-budget: the guest met its node-budget
              journal 0-15 turn 5 fault node-budget [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its node-budget","code":"node-budget","agent":"a"} conv=c-0-12 re=c-0-12
            post c -> a request {"n": 4}
              journal 0-16 posted [request agent:10]
              answer 6: posted m-0-16-0 conv=c-0-16 to 1 durable
              run a 6 init AfterFault
            turn a ok
              journal 0-17 instance-started
              journal 0-18 turn 6 returned 0
              run a 7 message c -> a request {"n": 4} conv=c-0-16
            turn a node-budget
              event a faulted: node-budget: the guest met its node-budget
              journal 0-19 turn 7 fault node-budget [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its node-budget","code":"node-budget","agent":"a"} conv=c-0-16 re=c-0-16
            post c -> a request {"n": 5}
              journal 0-20 posted [request agent:10]
              answer 7: posted m-0-20-0 conv=c-0-20 to 1 durable
              run a 8 init AfterFault
            turn a ok
              journal 0-21 instance-started
              journal 0-22 turn 8 returned 0
              run a 9 message c -> a request {"n": 5} conv=c-0-20
            turn a node-budget
              event a faulted: node-budget: the guest met its node-budget
              journal 0-23 turn 9 fault node-budget [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its node-budget","code":"node-budget","agent":"a"} conv=c-0-20 re=c-0-20
            post c -> a request {"n": 6}
              journal 0-24 posted [request agent:10]
              answer 8: posted m-0-24-0 conv=c-0-24 to 1 durable
              run a 10 init AfterFault
            turn a ok
              journal 0-25 instance-started
              journal 0-26 turn 10 returned 0
              run a 11 message c -> a request {"n": 6} conv=c-0-24
            turn a ok
              journal 0-27 turn 11 returned 0
            show a
              Running version 1.0.0 turns 11 errors 0 faults 5 mail 0 timers [] subscriptions 0 state 0
        "#]],
    );
}

#[test]
fn a_permanent_agent_that_ends_itself_is_started_again_at_its_next_input() {
    check(
        r#"
        deploy a
        post c -> a request {"n": 1}
        turn a end reply inform {"n": 1}
        show agents
        post c -> a request {"n": 2}
        turn a ok
        turn a ok
        "#,
        expect![[r#"
            deploy a
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a request {"n": 1} conv=c-0-4
            turn a end reply inform {"n": 1}
              journal 0-5 turn 2 ended itself [inform client:c]
              mail for c: a -> c inform {"n":1} conv=c-0-4 re=c-0-4
              host answered reply=0
            show agents
              a:Running
            post c -> a request {"n": 2}
              journal 0-6 posted [request agent:10]
              answer 3: posted m-0-6-0 conv=c-0-6 to 1 durable
              run a 3 init Wake
            turn a ok
              journal 0-7 instance-started
              journal 0-8 turn 3 returned 0
              run a 4 message c -> a request {"n": 2} conv=c-0-6
            turn a ok
              journal 0-9 turn 4 returned 0
        "#]],
    );
}

#[test]
fn a_transient_agent_is_started_again_after_an_abnormal_end_alone() {
    check(
        r#"
        deploy a restart=transient
        passivate a
        post c -> a request {"n": 1}
        turn a trap
        tick 100ms
        turn a ok
        turn a trap
        show a
        post c -> a request {"n": 2}
        post c -> a request {"n": 3}
        turn a ok
        turn a end reply inform {"n": 2} ; timer 1s
        show a
        tick 1s
        post c -> a request {"n": 4}
        crash
        show a
        start a
        turn a ok
        "#,
        expect![[r#"
            deploy a restart=transient
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a request {"n": 1}
              journal 0-4 posted [request agent:10]
              answer 3: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-5 instance-started
              journal 0-6 turn 2 fault trap
              journal 0-7 status-changed
              event a is Restarting: its init failed: the guest met its trap
            tick 100ms
              run a 3 init AfterFault
            turn a ok
              journal 0-8 instance-started
              journal 0-9 turn 3 returned 0
              journal 0-10 status-changed
              event a is Running: restarted
              run a 4 message c -> a request {"n": 1} conv=c-0-4
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-11 turn 4 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-4 re=c-0-4
            show a
              Running version 1.0.0 turns 4 errors 0 faults 2 mail 0 timers [] subscriptions 0 state 0
            post c -> a request {"n": 2}
              journal 0-12 posted [request agent:10]
              answer 4: posted m-0-12-0 conv=c-0-12 to 1 durable
              run a 5 init AfterFault
            post c -> a request {"n": 3}
              journal 0-13 posted [request agent:10]
              answer 5: posted m-0-13-0 conv=c-0-13 to 1 durable
            turn a ok
              journal 0-14 instance-started
              journal 0-15 turn 5 returned 0
              run a 6 message c -> a request {"n": 2} conv=c-0-12
            turn a end reply inform {"n": 2} ; timer 1s
              journal 0-16 turn 6 ended itself [inform client:c]
              event a is Stopped: it ended itself
              mail for c: a -> c inform {"n":2} conv=c-0-12 re=c-0-12
              host answered reply=0 timer=1
            show a
              Stopped version 1.0.0 turns 6 errors 0 faults 2 mail 1 timers [1] subscriptions 0 state 0
            tick 1s
            post c -> a request {"n": 4}
              answer 6: refused agent-stopped: agent `a` is stopped; start it again
            crash
              crash, 16 records kept
            show a
              Stopped version 1.0.0 turns 6 errors 0 faults 2 mail 1 timers [1] subscriptions 0 state 0
            start a
              event a is Starting: asked to start
              run a 7 init Operator
            turn a ok
              journal 0-17 instance-started
              journal 0-18 turn 7 returned 0
              journal 0-19 status-changed
              event a is Running: started
              answer 7: Running
              run a 8 timer 1
        "#]],
    );
}

#[test]
fn a_temporary_agent_that_ends_itself_or_whose_group_is_restarted_stays_stopped() {
    check(
        r#"
        deploy a restart=temporary memory
        deploy b restart=temporary group=g:all
        deploy x group=g:all
        deploy y restart=temporary group=g:all
        post c -> a inform
        turn a end
        passivate x
        post c -> x request
        turn x trap
        turn b ok
        turn y ok
        show agents
        tick 100ms
        turn x ok
        show agents
        crash
        show agents
        "#,
        expect![[r#"
            deploy a restart=temporary memory
            deploy b restart=temporary group=g:all
            deploy x group=g:all
            deploy y restart=temporary group=g:all
            post c -> a inform
              answer 5: posted m-0-13-0 conv=c-0-13 to 1 memory
              run a 2 message c -> a inform null conv=c-0-13
            turn a end
              journal 0-15 status-changed
              event a is Stopped: it ended itself
            passivate x
              drop instance x
              event x is Passivated: idle
            post c -> x request
              journal 0-16 posted [request agent:12]
              answer 7: posted m-0-16-0 conv=c-0-16 to 1 durable
              run x 2 init Wake
            turn x trap
              event x faulted: trap: the guest met its trap
              journal 0-17 instance-started
              journal 0-18 turn 2 fault trap
              journal 0-19 status-changed
              event x is Restarting: its init failed: the guest met its trap
              journal 0-20 status-changed
              event b is Draining: its group is restarted
              journal 0-21 status-changed
              event y is Draining: its group is restarted
              run b 2 shutdown
              run y 2 shutdown
            turn b ok
              journal 0-22 turn 2 returned 0
              drop instance b
              journal 0-23 status-changed
              event b is Stopped: stopped
            turn y ok
              journal 0-24 turn 2 returned 0
              drop instance y
              journal 0-25 status-changed
              event y is Stopped: stopped
            show agents
              a:Stopped b:Stopped x:Restarting y:Stopped
            tick 100ms
              run x 3 init AfterFault
            turn x ok
              journal 0-26 instance-started
              journal 0-27 turn 3 returned 0
              journal 0-28 status-changed
              event x is Running: restarted
              run x 4 message c -> x request null conv=c-0-16
            show agents
              a:Stopped b:Stopped x:Running y:Stopped
            crash
              crash, 24 records kept
              run x 4 init NodeStart
            show agents
              a:Stopped b:Stopped x:Running y:Stopped
        "#]],
    );
}

#[test]
fn a_temporary_agent_that_fails_takes_nobody_with_it() {
    check(
        r#"
        deploy a restart=temporary group=g:all
        deploy b group=g:all
        passivate a
        post c -> a inform
        turn a trap
        show agents
        "#,
        expect![[r#"
            deploy a restart=temporary group=g:all
            deploy b group=g:all
            passivate a
              drop instance a
              event a is Passivated: idle
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 4: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 init Wake
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-8 instance-started
              journal 0-9 turn 2 fault trap
              journal 0-10 status-changed
              event a is Failed: 1 failed inits; the last: the guest met its trap
              journal 0-11 refused [inform dead:agent-failed] [failure client:c]
              event dead letter for a: agent-failed: agent `a` has failed; start it again
              mail for c: a -> c failure {"error":"agent `a` has failed; start it again","code":"agent-failed","agent":"a"} conv=c-0-7 re=c-0-7
            show agents
              a:Failed b:Running
        "#]],
    );
}
