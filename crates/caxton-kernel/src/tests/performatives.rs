//! All 22 performatives of FIPA: who may send them, what the conversation becomes, what the host answers.
//!
//! Each: from a client to an agent that answers in kind; to an agent that faults; to one that has
//! registered another performative; to `df`; and what is left when the sender's time is over.

use expect_test::expect;

use super::script::check;

#[test]
fn accept_proposal() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a accept-proposal conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "ACCEPT_PROPOSAL", "receiver": "c", "conversation_id": "talk"}
        post c -> a accept-proposal
        turn a trap
        post c -> picky accept-proposal
        post c -> df accept-proposal {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a accept-proposal conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [accept-proposal agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a accept-proposal {"about": "it"} conv=talk
            turn a ok send {"performative": "ACCEPT_PROPOSAL", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [accept-proposal client:c]
              mail for c: a -> c accept-proposal null conv=talk
              host answered send=0
            post c -> a accept-proposal
              journal 0-9 posted [accept-proposal agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a accept-proposal null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky accept-proposal
              journal 0-11 posted [accept-proposal agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [accept-proposal dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `accept-proposal`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `accept-proposal`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df accept-proposal {"action": "search"}
              journal 0-13 posted [accept-proposal agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `accept-proposal`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:accept-proposal a:accept-proposal a:failure
        "#]],
    );
}

#[test]
fn agree() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a agree conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "AGREE", "receiver": "c", "conversation_id": "talk"}
        post c -> a agree
        turn a trap
        post c -> picky agree
        post c -> df agree {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a agree conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [agree agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a agree {"about": "it"} conv=talk
            turn a ok send {"performative": "AGREE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [agree client:c]
              mail for c: a -> c agree null conv=talk
              host answered send=0
            post c -> a agree
              journal 0-9 posted [agree agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a agree null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky agree
              journal 0-11 posted [agree agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [agree dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `agree`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `agree`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df agree {"action": "search"}
              journal 0-13 posted [agree agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `agree`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:agree a:agree a:failure
        "#]],
    );
}

#[test]
fn cancel() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a cancel conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "CANCEL", "receiver": "c", "conversation_id": "talk"}
        post c -> a cancel
        turn a trap
        post c -> picky cancel
        post c -> df cancel {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a cancel conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [cancel agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a cancel {"about": "it"} conv=talk
            turn a ok send {"performative": "CANCEL", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [cancel client:c]
              mail for c: a -> c cancel null conv=talk
              host answered send=0
            post c -> a cancel
              journal 0-9 posted [cancel agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a cancel null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky cancel
              journal 0-11 posted [cancel agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [cancel dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `cancel`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `cancel`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df cancel {"action": "search"}
              journal 0-13 posted [cancel agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [failure client:c]
              mail for c: df -> c failure {"error":"no subscription of yours in this conversation","code":"not-found","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:cancel a:cancel
        "#]],
    );
}

#[test]
fn cfp() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a cfp conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "CFP", "receiver": "c", "conversation_id": "talk"}
        post c -> a cfp
        turn a trap
        post c -> picky cfp
        post c -> df cfp {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a cfp conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [cfp agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a cfp {"about": "it"} conv=talk
            turn a ok send {"performative": "CFP", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [cfp client:c]
              mail for c: a -> c cfp null conv=talk
              host answered send=0
            post c -> a cfp
              journal 0-9 posted [cfp agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a cfp null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky cfp
              journal 0-11 posted [cfp agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [cfp dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `cfp`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `cfp`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df cfp {"action": "search"}
              journal 0-13 posted [cfp agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `cfp`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:cfp a:cfp a:failure
        "#]],
    );
}

#[test]
fn confirm() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a confirm conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "CONFIRM", "receiver": "c", "conversation_id": "talk"}
        post c -> a confirm
        turn a trap
        post c -> picky confirm
        post c -> df confirm {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a confirm conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [confirm agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a confirm {"about": "it"} conv=talk
            turn a ok send {"performative": "CONFIRM", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [confirm client:c]
              mail for c: a -> c confirm null conv=talk
              host answered send=0
            post c -> a confirm
              journal 0-9 posted [confirm agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a confirm null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky confirm
              journal 0-11 posted [confirm agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [confirm dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `confirm`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `confirm`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df confirm {"action": "search"}
              journal 0-13 posted [confirm agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `confirm`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:confirm a:confirm
        "#]],
    );
}

#[test]
fn disconfirm() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a disconfirm conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "DISCONFIRM", "receiver": "c", "conversation_id": "talk"}
        post c -> a disconfirm
        turn a trap
        post c -> picky disconfirm
        post c -> df disconfirm {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a disconfirm conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [disconfirm agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a disconfirm {"about": "it"} conv=talk
            turn a ok send {"performative": "DISCONFIRM", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [disconfirm client:c]
              mail for c: a -> c disconfirm null conv=talk
              host answered send=0
            post c -> a disconfirm
              journal 0-9 posted [disconfirm agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a disconfirm null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky disconfirm
              journal 0-11 posted [disconfirm agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [disconfirm dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `disconfirm`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `disconfirm`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df disconfirm {"action": "search"}
              journal 0-13 posted [disconfirm agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `disconfirm`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:disconfirm a:disconfirm
        "#]],
    );
}

#[test]
fn failure() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a failure conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "FAILURE", "receiver": "c", "conversation_id": "talk"}
        post c -> a failure
        turn a trap
        post c -> picky failure
        post c -> df failure {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a failure conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [failure agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a failure {"about": "it"} conv=talk
            turn a ok send {"performative": "FAILURE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [failure client:c]
              mail for c: a -> c failure null conv=talk
              host answered send=0
            post c -> a failure
              journal 0-9 posted [failure agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a failure null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap
            post c -> picky failure
              journal 0-11 posted [failure agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              run picky 2 message c -> picky failure null conv=c-0-11
            post c -> df failure {"action": "search"}
              journal 0-12 posted [failure agent:2]
              answer 6: posted m-0-12-0 conv=c-0-12 to 1 durable
              journal 0-13 directory
            tick 9s
            show conversation talk
              c:failure a:failure
        "#]],
    );
}

#[test]
fn inform() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["request"]}
        post c -> a inform conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "INFORM", "receiver": "c", "conversation_id": "talk"}
        post c -> a inform
        turn a trap
        post c -> picky inform
        post c -> df inform {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["request"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a inform conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a inform {"about": "it"} conv=talk
            turn a ok send {"performative": "INFORM", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [inform client:c]
              mail for c: a -> c inform null conv=talk
              host answered send=0
            post c -> a inform
              journal 0-9 posted [inform agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a inform null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky inform
              journal 0-11 posted [inform agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [inform dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `inform`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `inform`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df inform {"action": "search"}
              journal 0-13 posted [inform agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `inform`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:inform a:inform
        "#]],
    );
}

#[test]
fn inform_if() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a inform-if conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "INFORM_IF", "receiver": "c", "conversation_id": "talk"}
        post c -> a inform-if
        turn a trap
        post c -> picky inform-if
        post c -> df inform-if {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a inform-if conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [inform-if agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a inform-if {"about": "it"} conv=talk
            turn a ok send {"performative": "INFORM_IF", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [inform-if client:c]
              mail for c: a -> c inform-if null conv=talk
              host answered send=0
            post c -> a inform-if
              journal 0-9 posted [inform-if agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a inform-if null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky inform-if
              journal 0-11 posted [inform-if agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [inform-if dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `inform-if`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `inform-if`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df inform-if {"action": "search"}
              journal 0-13 posted [inform-if agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `inform-if`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:inform-if a:inform-if a:failure
        "#]],
    );
}

#[test]
fn inform_ref() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a inform-ref conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "INFORM_REF", "receiver": "c", "conversation_id": "talk"}
        post c -> a inform-ref
        turn a trap
        post c -> picky inform-ref
        post c -> df inform-ref {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a inform-ref conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [inform-ref agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a inform-ref {"about": "it"} conv=talk
            turn a ok send {"performative": "INFORM_REF", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [inform-ref client:c]
              mail for c: a -> c inform-ref null conv=talk
              host answered send=0
            post c -> a inform-ref
              journal 0-9 posted [inform-ref agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a inform-ref null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky inform-ref
              journal 0-11 posted [inform-ref agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [inform-ref dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `inform-ref`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `inform-ref`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df inform-ref {"action": "search"}
              journal 0-13 posted [inform-ref agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `inform-ref`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:inform-ref a:inform-ref a:failure
        "#]],
    );
}

#[test]
fn not_understood() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a not-understood conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "NOT_UNDERSTOOD", "receiver": "c", "conversation_id": "talk"}
        post c -> a not-understood
        turn a trap
        post c -> picky not-understood
        post c -> df not-understood {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a not-understood conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [not-understood agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a not-understood {"about": "it"} conv=talk
            turn a ok send {"performative": "NOT_UNDERSTOOD", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [not-understood client:c]
              mail for c: a -> c not-understood null conv=talk
              host answered send=0
            post c -> a not-understood
              journal 0-9 posted [not-understood agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a not-understood null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap
            post c -> picky not-understood
              journal 0-11 posted [not-understood agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              run picky 2 message c -> picky not-understood null conv=c-0-11
            post c -> df not-understood {"action": "search"}
              journal 0-12 posted [not-understood agent:2]
              answer 6: posted m-0-12-0 conv=c-0-12 to 1 durable
              journal 0-13 directory
            tick 9s
            show conversation talk
              c:not-understood a:not-understood
        "#]],
    );
}

#[test]
fn propagate() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a propagate conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "PROPAGATE", "receiver": "c", "conversation_id": "talk"}
        post c -> a propagate
        turn a trap
        post c -> picky propagate
        post c -> df propagate {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a propagate conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [propagate agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a propagate {"about": "it"} conv=talk
            turn a ok send {"performative": "PROPAGATE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [propagate client:c]
              mail for c: a -> c propagate null conv=talk
              host answered send=0
            post c -> a propagate
              journal 0-9 posted [propagate agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a propagate null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky propagate
              journal 0-11 posted [propagate agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [propagate dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `propagate`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `propagate`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df propagate {"action": "search"}
              journal 0-13 posted [propagate agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `propagate`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:propagate a:propagate a:failure
        "#]],
    );
}

#[test]
fn propose() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a propose conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "PROPOSE", "receiver": "c", "conversation_id": "talk"}
        post c -> a propose
        turn a trap
        post c -> picky propose
        post c -> df propose {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a propose conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [propose agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a propose {"about": "it"} conv=talk
            turn a ok send {"performative": "PROPOSE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [propose client:c]
              mail for c: a -> c propose null conv=talk
              host answered send=0
            post c -> a propose
              journal 0-9 posted [propose agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a propose null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky propose
              journal 0-11 posted [propose agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [propose dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `propose`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `propose`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df propose {"action": "search"}
              journal 0-13 posted [propose agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `propose`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:propose a:propose a:failure
        "#]],
    );
}

#[test]
fn proxy() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a proxy conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "PROXY", "receiver": "c", "conversation_id": "talk"}
        post c -> a proxy
        turn a trap
        post c -> picky proxy
        post c -> df proxy {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a proxy conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [proxy agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a proxy {"about": "it"} conv=talk
            turn a ok send {"performative": "PROXY", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [proxy client:c]
              mail for c: a -> c proxy null conv=talk
              host answered send=0
            post c -> a proxy
              journal 0-9 posted [proxy agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a proxy null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky proxy
              journal 0-11 posted [proxy agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [proxy dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `proxy`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `proxy`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df proxy {"action": "search"}
              journal 0-13 posted [proxy agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `proxy`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:proxy a:proxy a:failure
        "#]],
    );
}

#[test]
fn query_if() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a query-if conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "QUERY_IF", "receiver": "c", "conversation_id": "talk"}
        post c -> a query-if
        turn a trap
        post c -> picky query-if
        post c -> df query-if {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a query-if conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [query-if agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a query-if {"about": "it"} conv=talk
            turn a ok send {"performative": "QUERY_IF", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [query-if client:c]
              mail for c: a -> c query-if null conv=talk
              host answered send=0
            post c -> a query-if
              journal 0-9 posted [query-if agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a query-if null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky query-if
              journal 0-11 posted [query-if agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [query-if dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `query-if`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `query-if`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df query-if {"action": "search"}
              journal 0-13 posted [query-if agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `query-if`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:query-if a:query-if a:failure
        "#]],
    );
}

#[test]
fn query_ref() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a query-ref conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "QUERY_REF", "receiver": "c", "conversation_id": "talk"}
        post c -> a query-ref
        turn a trap
        post c -> picky query-ref
        post c -> df query-ref {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a query-ref conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [query-ref agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a query-ref {"about": "it"} conv=talk
            turn a ok send {"performative": "QUERY_REF", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [query-ref client:c]
              mail for c: a -> c query-ref null conv=talk
              host answered send=0
            post c -> a query-ref
              journal 0-9 posted [query-ref agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a query-ref null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky query-ref
              journal 0-11 posted [query-ref agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [query-ref dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `query-ref`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `query-ref`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df query-ref {"action": "search"}
              journal 0-13 posted [query-ref agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"picky","id":"a-000000000000000b","services":[],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:query-ref a:query-ref a:failure
        "#]],
    );
}

#[test]
fn refuse() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a refuse conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "REFUSE", "receiver": "c", "conversation_id": "talk"}
        post c -> a refuse
        turn a trap
        post c -> picky refuse
        post c -> df refuse {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a refuse conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [refuse agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a refuse {"about": "it"} conv=talk
            turn a ok send {"performative": "REFUSE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [refuse client:c]
              mail for c: a -> c refuse null conv=talk
              host answered send=0
            post c -> a refuse
              journal 0-9 posted [refuse agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a refuse null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky refuse
              journal 0-11 posted [refuse agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [refuse dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `refuse`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `refuse`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df refuse {"action": "search"}
              journal 0-13 posted [refuse agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `refuse`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:refuse a:refuse
        "#]],
    );
}

#[test]
fn reject_proposal() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a reject-proposal conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "REJECT_PROPOSAL", "receiver": "c", "conversation_id": "talk"}
        post c -> a reject-proposal
        turn a trap
        post c -> picky reject-proposal
        post c -> df reject-proposal {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a reject-proposal conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [reject-proposal agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a reject-proposal {"about": "it"} conv=talk
            turn a ok send {"performative": "REJECT_PROPOSAL", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [reject-proposal client:c]
              mail for c: a -> c reject-proposal null conv=talk
              host answered send=0
            post c -> a reject-proposal
              journal 0-9 posted [reject-proposal agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a reject-proposal null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky reject-proposal
              journal 0-11 posted [reject-proposal agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [reject-proposal dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `reject-proposal`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `reject-proposal`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df reject-proposal {"action": "search"}
              journal 0-13 posted [reject-proposal agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `reject-proposal`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
            show conversation talk
              c:reject-proposal a:reject-proposal
        "#]],
    );
}

#[test]
fn request() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a request conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "REQUEST", "receiver": "c", "conversation_id": "talk"}
        post c -> a request
        turn a trap
        post c -> picky request
        post c -> df request {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a request conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [request agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a request {"about": "it"} conv=talk
            turn a ok send {"performative": "REQUEST", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [request client:c]
              mail for c: a -> c request null conv=talk
              host answered send=0
            post c -> a request
              journal 0-9 posted [request agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a request null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky request
              journal 0-11 posted [request agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [request dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `request`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `request`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df request {"action": "search"}
              journal 0-13 posted [request agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"picky","id":"a-000000000000000b","services":[],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:request a:request a:failure
        "#]],
    );
}

#[test]
fn request_when() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a request-when conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "REQUEST_WHEN", "receiver": "c", "conversation_id": "talk"}
        post c -> a request-when
        turn a trap
        post c -> picky request-when
        post c -> df request-when {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a request-when conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [request-when agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a request-when {"about": "it"} conv=talk
            turn a ok send {"performative": "REQUEST_WHEN", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [request-when client:c]
              mail for c: a -> c request-when null conv=talk
              host answered send=0
            post c -> a request-when
              journal 0-9 posted [request-when agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a request-when null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky request-when
              journal 0-11 posted [request-when agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [request-when dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `request-when`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `request-when`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df request-when {"action": "search"}
              journal 0-13 posted [request-when agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `request-when`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:request-when a:request-when a:failure
        "#]],
    );
}

#[test]
fn request_whenever() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a request-whenever conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "REQUEST_WHENEVER", "receiver": "c", "conversation_id": "talk"}
        post c -> a request-whenever
        turn a trap
        post c -> picky request-whenever
        post c -> df request-whenever {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a request-whenever conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [request-whenever agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a request-whenever {"about": "it"} conv=talk
            turn a ok send {"performative": "REQUEST_WHENEVER", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [request-whenever client:c]
              mail for c: a -> c request-whenever null conv=talk
              host answered send=0
            post c -> a request-whenever
              journal 0-9 posted [request-whenever agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a request-whenever null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky request-whenever
              journal 0-11 posted [request-whenever agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [request-whenever dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `request-whenever`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `request-whenever`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df request-whenever {"action": "search"}
              journal 0-13 posted [request-whenever agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `request-whenever`","code":"unsupported-act","agent":"df"} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:request-whenever a:request-whenever a:failure
        "#]],
    );
}

#[test]
fn subscribe() {
    check(
        r#"
        deploy a
        deploy picky init=hold
        turn picky ok register {"performatives": ["inform"]}
        post c -> a subscribe conversation_id=talk reply_by=9s {"about": "it"}
        turn a ok send {"performative": "SUBSCRIBE", "receiver": "c", "conversation_id": "talk"}
        post c -> a subscribe
        turn a trap
        post c -> picky subscribe
        post c -> df subscribe {"action": "search"}
        tick 9s
        show conversation talk
        "#,
        expect![[r#"
            deploy a
            deploy picky init=hold
              run picky 1 init Deploy
            turn picky ok register {"performatives": ["inform"]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event picky is Running: deployed
              answer 2: Running
              host answered register=0
            post c -> a subscribe conversation_id=talk reply_by=9s {"about": "it"}
              journal 0-7 posted [subscribe agent:10]
              answer 3: posted m-0-7-0 conv=talk to 1 durable
              run a 2 message c -> a subscribe {"about": "it"} conv=talk
            turn a ok send {"performative": "SUBSCRIBE", "receiver": "c", "conversation_id": "talk"}
              journal 0-8 turn 2 returned 0 [subscribe client:c]
              mail for c: a -> c subscribe null conv=talk
              host answered send=0
            post c -> a subscribe
              journal 0-9 posted [subscribe agent:10]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              run a 3 message c -> a subscribe null conv=c-0-9
            turn a trap
              event a faulted: trap: the guest met its trap
              journal 0-10 turn 3 fault trap [failure client:c]
              mail for c: a -> c failure {"error":"the guest met its trap","code":"trap","agent":"a"} conv=c-0-9 re=c-0-9
            post c -> picky subscribe
              journal 0-11 posted [subscribe agent:11]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [subscribe dead:not-understood] [not-understood client:c]
              event dead letter for picky: not-understood: `picky` has not registered `subscribe`
              mail for c: picky -> c not-understood {"error":"`picky` has not registered `subscribe`","code":"not-understood","agent":"picky"} conv=c-0-11 re=c-0-11
            post c -> df subscribe {"action": "search"}
              journal 0-13 posted [subscribe agent:2]
              answer 6: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":null} conv=c-0-13 re=c-0-13
              mail for c: df -> c inform {"result":[{"name":"picky","id":"a-000000000000000b","services":[],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-13 re=c-0-13
            tick 9s
              journal 0-15 host-sent [failure client:c]
              mail for c: a -> c failure {"error":"no answer of `a` until 2026-01-01T00:00:09.000000Z","code":"timeout","agent":"a"} conv=talk re=c-0-7
            show conversation talk
              c:subscribe a:subscribe a:failure
        "#]],
    );
}
