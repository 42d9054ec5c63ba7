//! The directory facilitator and the agent management system.

use expect_test::expect;

use super::script::check;

#[test]
fn df_registers_modifies_and_deregisters_the_asker() {
    check(
        r#"
        deploy a
        post c -> a inform
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "1", "content": {"action": "register", "description": {"name": "a", "services": [{"name": "translate", "type": "text", "languages": ["en"]}], "ontologies": ["words"]}}}
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "2", "content": {"action": "register", "description": {"services": [{"name": "sing"}]}}}
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "3", "content": {"action": "modify", "description": {"services": ["sing"]}}}
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "4", "content": {"action": "search", "description": {"services": [{"name": "sing"}]}}}
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "5", "content": {"action": "deregister"}}
        turn a ok send {"performative": "request", "receiver": "df", "reply_with": "6", "content": {"action": "deregister"}}
        turn a ok
        post c -> {"capability":"sing"} inform
        "#,
        expect![[r#"
            deploy a
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "1", "content": {"action": "register", "description": {"name": "a", "services": [{"name": "translate", "type": "text", "languages": ["en"]}], "ontologies": ["words"]}}}
              journal 0-5 turn 2 returned 0 [request agent:2]
              journal 0-6 directory [inform agent:10]
              run a 3 message df -> a inform {"done":{"action":"register","description":{"name":"a","services":[{"name":"translate","type":"text","languages":["en"]}],"ontologies":["words"]}}} re=1
              host answered send=0
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "2", "content": {"action": "register", "description": {"services": [{"name": "sing"}]}}}
              journal 0-7 turn 3 returned 0 [request agent:2]
              journal 0-8 directory [failure agent:10]
              run a 4 message df -> a failure {"error":"your entry is there; use modify","code":"already-registered","agent":"df"} re=2
              host answered send=0
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "3", "content": {"action": "modify", "description": {"services": ["sing"]}}}
              journal 0-9 turn 4 returned 0 [request agent:2]
              journal 0-10 directory [inform agent:10]
              run a 5 message df -> a inform {"done":{"action":"modify","description":{"services":["sing"]}}} re=3
              host answered send=0
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "4", "content": {"action": "search", "description": {"services": [{"name": "sing"}]}}}
              journal 0-11 turn 5 returned 0 [request agent:2]
              journal 0-12 directory [inform agent:10]
              run a 6 message df -> a inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"sing"}],"protocols":[],"ontologies":[],"languages":[]}]} re=4
              host answered send=0
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "5", "content": {"action": "deregister"}}
              journal 0-13 turn 6 returned 0 [request agent:2]
              journal 0-14 directory [inform agent:10]
              run a 7 message df -> a inform {"done":{"action":"deregister"}} re=5
              host answered send=0
            turn a ok send {"performative": "request", "receiver": "df", "reply_with": "6", "content": {"action": "deregister"}}
              journal 0-15 turn 7 returned 0 [request agent:2]
              journal 0-16 directory [failure agent:10]
              run a 8 message df -> a failure {"error":"you have no entry; use register","code":"not-registered","agent":"df"} re=6
              host answered send=0
            turn a ok
              journal 0-17 turn 8 returned 0
            post c -> {"capability":"sing"} inform
              answer 3: refused no-capability: no agent offers `sing`
        "#]],
    );
}

#[test]
fn df_refuses_what_is_not_the_askers() {
    check(
        r#"
        deploy a
        deploy b
        post c -> df request {"action": "register", "description": {"name": "c", "services": ["x"]}}
        post c -> df request {"action": "deregister", "description": {"name": "a"}}
        post c -> a inform
        turn a ok send {"performative": "request", "receiver": "df", "content": {"action": "register", "description": {"name": {"name": "b"}, "services": ["x"]}}}
        turn a ok
        post c -> df request {"action": "explode"}
        post c -> df request {"what": 1}
        post c -> df propose {"action": "search"}
        post c -> df request {"action": "search", "description": {"services": 5}}
        post c -> df failure {"action": "search"}
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> df request {"action": "register", "description": {"name": "c", "services": ["x"]}}
              journal 0-7 posted [request agent:2]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              journal 0-8 directory [refuse client:c]
              mail for c: df -> c refuse {"error":"an agent may change its own entry only, and only agents have one","code":"unauthorised","agent":"df"} conv=c-0-7 re=c-0-7
            post c -> df request {"action": "deregister", "description": {"name": "a"}}
              journal 0-9 posted [request agent:2]
              answer 4: posted m-0-9-0 conv=c-0-9 to 1 durable
              journal 0-10 directory [refuse client:c]
              mail for c: df -> c refuse {"error":"an agent may change its own entry only, and only agents have one","code":"unauthorised","agent":"df"} conv=c-0-9 re=c-0-9
            post c -> a inform
              journal 0-11 posted [inform agent:10]
              answer 5: posted m-0-11-0 conv=c-0-11 to 1 durable
              run a 2 message c -> a inform null conv=c-0-11
            turn a ok send {"performative": "request", "receiver": "df", "content": {"action": "register", "description": {"name": {"name": "b"}, "services": ["x"]}}}
              journal 0-12 turn 2 returned 0 [request agent:2]
              journal 0-13 directory [refuse agent:10]
              run a 3 message df -> a refuse {"error":"an agent may change its own entry only, and only agents have one","code":"unauthorised","agent":"df"}
              host answered send=0
            turn a ok
              journal 0-14 turn 3 returned 0
            post c -> df request {"action": "explode"}
              journal 0-15 posted [request agent:2]
              answer 6: posted m-0-15-0 conv=c-0-15 to 1 durable
              journal 0-16 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` knows register, deregister, modify and search, not `explode`","code":"unsupported-function","agent":"df"} conv=c-0-15 re=c-0-15
            post c -> df request {"what": 1}
              journal 0-17 posted [request agent:2]
              answer 7: posted m-0-17-0 conv=c-0-17 to 1 durable
              journal 0-18 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"a request to `df` needs the field `action`: register, deregister, modify or search","code":"missing-argument","agent":"df"} conv=c-0-17 re=c-0-17
            post c -> df propose {"action": "search"}
              journal 0-19 posted [propose agent:2]
              answer 8: posted m-0-19-0 conv=c-0-19 to 1 durable
              journal 0-20 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`df` answers request, query-ref, subscribe and cancel, not `propose`","code":"unsupported-act","agent":"df"} conv=c-0-19 re=c-0-19
            post c -> df request {"action": "search", "description": {"services": 5}}
              journal 0-21 posted [request agent:2]
              answer 9: posted m-0-21-0 conv=c-0-21 to 1 durable
              journal 0-22 directory [not-understood client:c]
              mail for c: df -> c not-understood {"error":"`services` must be a list","code":"unrecognised-value","agent":"df"} conv=c-0-21 re=c-0-21
            post c -> df failure {"action": "search"}
              journal 0-23 posted [failure agent:2]
              answer 10: posted m-0-23-0 conv=c-0-23 to 1 durable
              journal 0-24 directory
        "#]],
    );
}

#[test]
fn df_finds_by_template() {
    check(
        r#"
        deploy a init=hold
        turn a ok register {"protocols": ["fipa-request"], "languages": ["fr"], "services": [{"name": "translate", "type": "text", "ontologies": ["words"]}]}
        deploy b init=hold
        turn b ok register {"services": [{"name": "translate"}, {"name": "sing"}]}
        deploy acme/z init=hold
        turn acme/z ok register {"services": [{"name": "translate"}]}
        post c -> df request {"action": "search", "description": {"services": [{"name": "translate"}]}, "constraints": {"max-results": 2}}
        post c -> df request {"action": "search", "description": {"services": [{"name": "translate", "type": "text"}]}}
        post c -> df query-ref {"service": "sing"}
        post c -> df query-ref {"protocols": ["fipa-request"], "languages": "fr"}
        post c -> df query-ref ns=acme {"service": "translate"}
        post c -> df query-ref namespace=main ns=acme {"name": "b"}
        post x -> b inform
        turn b ok send {"performative": "query-ref", "receiver": "df", "content": {"service": "translate"}}
        "#,
        expect![[r#"
            deploy a init=hold
              run a 1 init Deploy
            turn a ok register {"protocols": ["fipa-request"], "languages": ["fr"], "services": [{"name": "translate", "type": "text", "ontologies": ["words"]}]}
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
              host answered register=0
            deploy b init=hold
              run b 1 init Deploy
            turn b ok register {"services": [{"name": "translate"}, {"name": "sing"}]}
              journal 0-4 deployed
              journal 0-5 instance-started
              journal 0-6 turn 1 returned 0
              event b is Running: deployed
              answer 2: Running
              host answered register=0
            deploy acme/z init=hold
              run acme/z 1 init Deploy
            turn acme/z ok register {"services": [{"name": "translate"}]}
              journal 0-7 deployed
              journal 0-8 instance-started
              journal 0-9 turn 1 returned 0
              event acme/z is Running: deployed
              answer 3: Running
              host answered register=0
            post c -> df request {"action": "search", "description": {"services": [{"name": "translate"}]}, "constraints": {"max-results": 2}}
              journal 0-10 posted [request agent:2]
              answer 4: posted m-0-10-0 conv=c-0-10 to 1 durable
              journal 0-11 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate","type":"text","ontologies":["words"]}],"protocols":["fipa-request"],"ontologies":[],"languages":["fr"]},{"name":"b","id":"a-000000000000000b","services":[{"name":"translate"},{"name":"sing"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-10 re=c-0-10
            post c -> df request {"action": "search", "description": {"services": [{"name": "translate", "type": "text"}]}}
              journal 0-12 posted [request agent:2]
              answer 5: posted m-0-12-0 conv=c-0-12 to 1 durable
              journal 0-13 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate","type":"text","ontologies":["words"]}],"protocols":["fipa-request"],"ontologies":[],"languages":["fr"]}]} conv=c-0-12 re=c-0-12
            post c -> df query-ref {"service": "sing"}
              journal 0-14 posted [query-ref agent:2]
              answer 6: posted m-0-14-0 conv=c-0-14 to 1 durable
              journal 0-15 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"b","id":"a-000000000000000b","services":[{"name":"translate"},{"name":"sing"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-14 re=c-0-14
            post c -> df query-ref {"protocols": ["fipa-request"], "languages": "fr"}
              journal 0-16 posted [query-ref agent:2]
              answer 7: posted m-0-16-0 conv=c-0-16 to 1 durable
              journal 0-17 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate","type":"text","ontologies":["words"]}],"protocols":["fipa-request"],"ontologies":[],"languages":["fr"]}]} conv=c-0-16 re=c-0-16
            post c -> df query-ref ns=acme {"service": "translate"}
              journal 0-18 posted [query-ref agent:2]
              answer 8: posted m-0-18-0 conv=c-0-18 to 1 durable
              journal 0-19 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"acme/z","id":"a-000000000000000c","services":[{"name":"translate"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=c-0-18 re=c-0-18
            post c -> df query-ref namespace=main ns=acme {"name": "b"}
              journal 0-20 posted [query-ref agent:2]
              answer 9: posted m-0-20-0 conv=c-0-20 to 1 durable
              journal 0-21 directory [inform client:c]
              mail for c: df -> c inform {"result":[]} conv=c-0-20 re=c-0-20
            post x -> b inform
              journal 0-22 posted [inform agent:11]
              answer 10: posted m-0-22-0 conv=c-0-22 to 1 durable
              run b 2 message x -> b inform null conv=c-0-22
            turn b ok send {"performative": "query-ref", "receiver": "df", "content": {"service": "translate"}}
              journal 0-23 turn 2 returned 0 [query-ref agent:2]
              journal 0-24 directory [inform agent:11]
              run b 3 message df -> b inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate","type":"text","ontologies":["words"]}],"protocols":["fipa-request"],"ontologies":[],"languages":["fr"]},{"name":"b","id":"a-000000000000000b","services":[{"name":"translate"},{"name":"sing"}],"protocols":[],"ontologies":[],"languages":[]}]}
              host answered send=0
        "#]],
    );
}

#[test]
fn df_tells_of_changes_until_cancelled() {
    check(
        r#"
        deploy a
        post c -> df subscribe conversation_id=watch {"service": "translate"}
        post c -> df subscribe conversation_id=all {"services": []}
        post c -> a inform
        turn a ok register {"services": [{"name": "translate"}]}
        tick 20ms
        post c -> a inform
        turn a ok register {"services": [{"name": "translate"}]}
        tick 20ms
        post c -> a inform
        turn a ok register {"services": [{"name": "sing"}]}
        tick 20ms
        post c -> df cancel conversation_id=watch
        post c -> df cancel conversation_id=watch
        remove a
        tick 20ms
        "#,
        expect![[r#"
            deploy a
            post c -> df subscribe conversation_id=watch {"service": "translate"}
              journal 0-4 posted [subscribe agent:2]
              answer 2: posted m-0-4-0 conv=watch to 1 durable
              journal 0-5 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":{"service":"translate"}} conv=watch re=c-0-4
              mail for c: df -> c inform {"result":[]} conv=watch re=c-0-4
            post c -> df subscribe conversation_id=all {"services": []}
              journal 0-6 posted [subscribe agent:2]
              answer 3: posted m-0-6-0 conv=all to 1 durable
              journal 0-7 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":{"services":[]}} conv=all re=c-0-6
              mail for c: df -> c inform {"result":[]} conv=all re=c-0-6
            post c -> a inform
              journal 0-8 posted [inform agent:10]
              answer 4: posted m-0-8-0 conv=c-0-8 to 1 durable
              run a 2 message c -> a inform null conv=c-0-8
            turn a ok register {"services": [{"name": "translate"}]}
              journal 0-9 turn 2 returned 0
              host answered register=0
            tick 20ms
              journal 0-10 directory [inform client:c]
              journal 0-11 directory [inform client:c]
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=watch re=c-0-4
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"translate"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=all re=c-0-6
            post c -> a inform
              journal 0-12 posted [inform agent:10]
              answer 5: posted m-0-12-0 conv=c-0-12 to 1 durable
              run a 3 message c -> a inform null conv=c-0-12
            turn a ok register {"services": [{"name": "translate"}]}
              journal 0-13 turn 3 returned 0
              host answered register=0
            tick 20ms
            post c -> a inform
              journal 0-14 posted [inform agent:10]
              answer 6: posted m-0-14-0 conv=c-0-14 to 1 durable
              run a 4 message c -> a inform null conv=c-0-14
            turn a ok register {"services": [{"name": "sing"}]}
              journal 0-15 turn 4 returned 0
              journal 0-16 directory [inform client:c]
              journal 0-17 directory [inform client:c]
              mail for c: df -> c inform {"result":[]} conv=watch re=c-0-4
              mail for c: df -> c inform {"result":[{"name":"a","id":"a-000000000000000a","services":[{"name":"sing"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=all re=c-0-6
              host answered register=0
            tick 20ms
            post c -> df cancel conversation_id=watch
              journal 0-18 posted [cancel agent:2]
              answer 7: posted m-0-18-0 conv=watch to 1 durable
              journal 0-19 directory [inform client:c]
              mail for c: df -> c inform {"done":{"action":"cancel"}} conv=watch re=c-0-18
            post c -> df cancel conversation_id=watch
              journal 0-20 posted [cancel agent:2]
              answer 8: posted m-0-20-0 conv=watch to 1 durable
              journal 0-21 directory [failure client:c]
              mail for c: df -> c failure {"error":"no subscription of yours in this conversation","code":"not-found","agent":"df"} conv=watch re=c-0-20
            remove a
              journal 0-22 removed
              forget a-000000000000000a
              event a is Stopped: removed
              answer 9: Stopped
              journal 0-23 directory [inform client:c]
              mail for c: df -> c inform {"result":[]} conv=all re=c-0-6
            tick 20ms
        "#]],
    );
}

#[test]
fn an_agent_that_subscribed_is_told_and_forgotten_when_removed() {
    check(
        r#"
        deploy a
        deploy b
        post c -> a inform
        turn a ok send {"performative": "subscribe", "receiver": "df", "conversation_id": "w", "reply_with": "s", "content": {"service": "x"}} ; send {"performative": "subscribe", "receiver": "df", "content": {"service": "x"}}
        turn a ok
        turn a ok
        turn a ok
        post c -> b inform
        turn b ok register {"services": [{"name": "x"}]}
        tick 20ms
        turn a ok
        remove a
        post c -> b inform
        turn b ok register {"services": []}
        tick 20ms
        "#,
        expect![[r#"
            deploy a
            deploy b
            post c -> a inform
              journal 0-7 posted [inform agent:10]
              answer 3: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> a inform null conv=c-0-7
            turn a ok send {"performative": "subscribe", "receiver": "df", "conversation_id": "w", "reply_with": "s", "content": {"service": "x"}} ; send {"performative": "subscribe", "receiver": "df", "content": {"service": "x"}}
              journal 0-8 turn 2 returned 0 [subscribe agent:2] [subscribe agent:2]
              journal 0-9 directory [agree agent:10] [inform agent:10]
              journal 0-10 directory [refuse agent:10]
              run a 3 message df -> a agree {"subscribed":{"service":"x"}} conv=w re=s
              host answered send=0 send=0
            turn a ok
              journal 0-11 turn 3 returned 0
              run a 4 message df -> a inform {"result":[]} conv=w re=s
            turn a ok
              journal 0-12 turn 4 returned 0
              run a 5 message df -> a refuse {"error":"a subscription needs a `conversation_id`: `cancel` in it ends it","code":"missing-parameter","agent":"df"}
            turn a ok
              journal 0-13 turn 5 returned 0
            post c -> b inform
              journal 0-14 posted [inform agent:11]
              answer 4: posted m-0-14-0 conv=c-0-14 to 1 durable
              run b 2 message c -> b inform null conv=c-0-14
            turn b ok register {"services": [{"name": "x"}]}
              journal 0-15 turn 2 returned 0
              host answered register=0
            tick 20ms
              journal 0-16 directory [inform agent:10]
              run a 6 message df -> a inform {"result":[{"name":"b","id":"a-000000000000000b","services":[{"name":"x"}],"protocols":[],"ontologies":[],"languages":[]}]} conv=w re=s
            turn a ok
              journal 0-17 turn 6 returned 0
            remove a
              journal 0-18 removed
              forget a-000000000000000a
              event a is Stopped: removed
              answer 5: Stopped
            post c -> b inform
              journal 0-19 posted [inform agent:11]
              answer 6: posted m-0-19-0 conv=c-0-19 to 1 durable
              run b 3 message c -> b inform null conv=c-0-19
            turn b ok register {"services": []}
              journal 0-20 turn 3 returned 0
              host answered register=0
            tick 20ms
        "#]],
    );
}

#[test]
fn ams_knows_who_is_here() {
    check(
        r#"
        deploy a
        deploy b
        stop b now 1s
        turn b ok
        post c -> ams request {"action": "search", "description": {}}
        post c -> ams request {"action": "search", "description": {"state": "stopped"}}
        post c -> ams query-ref {"name": "a"}
        post c -> ams request {"action": "get-description"}
        post c -> ams request {"action": "get-description", "description": {"name": "b"}}
        post c -> ams request {"action": "get-description", "description": {"name": "q"}}
        post c -> ams request {"action": "register", "description": {"name": "a"}}
        post c -> ams request {"action": "register", "description": {"name": "new"}}
        post c -> ams request {"action": "deregister", "description": {"name": "a"}}
        post c -> ams request {"action": "deregister", "description": {"name": "q"}}
        post c -> ams request {"action": "dance"}
        post c -> ams subscribe {"x": 1}
        "#,
        expect![[r#"
            deploy a
            deploy b
            stop b now 1s
              journal 0-7 status-changed
              event b is Draining: asked to stop
              run b 2 shutdown
            turn b ok
              journal 0-8 turn 2 returned 0
              drop instance b
              journal 0-9 status-changed
              event b is Stopped: stopped
              answer 3: Stopped
            post c -> ams request {"action": "search", "description": {}}
              journal 0-10 posted [request agent:1]
              answer 4: posted m-0-10-0 conv=c-0-10 to 1 durable
              journal 0-11 directory [inform client:c]
              mail for c: ams -> c inform {"result":[{"name":"a","id":"a-000000000000000a","state":"running","addresses":["a","a-000000000000000a"]},{"name":"b","id":"a-000000000000000b","state":"stopped","addresses":["b","a-000000000000000b"]}]} conv=c-0-10 re=c-0-10
            post c -> ams request {"action": "search", "description": {"state": "stopped"}}
              journal 0-12 posted [request agent:1]
              answer 5: posted m-0-12-0 conv=c-0-12 to 1 durable
              journal 0-13 directory [inform client:c]
              mail for c: ams -> c inform {"result":[{"name":"b","id":"a-000000000000000b","state":"stopped","addresses":["b","a-000000000000000b"]}]} conv=c-0-12 re=c-0-12
            post c -> ams query-ref {"name": "a"}
              journal 0-14 posted [query-ref agent:1]
              answer 6: posted m-0-14-0 conv=c-0-14 to 1 durable
              journal 0-15 directory [inform client:c]
              mail for c: ams -> c inform {"result":[{"name":"a","id":"a-000000000000000a","state":"running","addresses":["a","a-000000000000000a"]}]} conv=c-0-14 re=c-0-14
            post c -> ams request {"action": "get-description"}
              journal 0-16 posted [request agent:1]
              answer 7: posted m-0-16-0 conv=c-0-16 to 1 durable
              journal 0-17 directory [inform client:c]
              mail for c: ams -> c inform {"result":{"name":"caxton","ap-services":[{"name":"ams"},{"name":"df"}]}} conv=c-0-16 re=c-0-16
            post c -> ams request {"action": "get-description", "description": {"name": "b"}}
              journal 0-18 posted [request agent:1]
              answer 8: posted m-0-18-0 conv=c-0-18 to 1 durable
              journal 0-19 directory [inform client:c]
              mail for c: ams -> c inform {"result":{"name":"b","id":"a-000000000000000b","state":"stopped","addresses":["b","a-000000000000000b"]}} conv=c-0-18 re=c-0-18
            post c -> ams request {"action": "get-description", "description": {"name": "q"}}
              journal 0-20 posted [request agent:1]
              answer 9: posted m-0-20-0 conv=c-0-20 to 1 durable
              journal 0-21 directory [failure client:c]
              mail for c: ams -> c failure {"error":"there is no agent `q`","code":"not-registered","agent":"ams"} conv=c-0-20 re=c-0-20
            post c -> ams request {"action": "register", "description": {"name": "a"}}
              journal 0-22 posted [request agent:1]
              answer 10: posted m-0-22-0 conv=c-0-22 to 1 durable
              journal 0-23 directory [failure client:c]
              mail for c: ams -> c failure {"error":"`a` is registered","code":"already-registered","agent":"ams"} conv=c-0-22 re=c-0-22
            post c -> ams request {"action": "register", "description": {"name": "new"}}
              journal 0-24 posted [request agent:1]
              answer 11: posted m-0-24-0 conv=c-0-24 to 1 durable
              journal 0-25 directory [refuse client:c]
              mail for c: ams -> c refuse {"error":"agents are registered by deploying them","code":"unauthorised","agent":"ams"} conv=c-0-24 re=c-0-24
            post c -> ams request {"action": "deregister", "description": {"name": "a"}}
              journal 0-26 posted [request agent:1]
              answer 12: posted m-0-26-0 conv=c-0-26 to 1 durable
              journal 0-27 directory [refuse client:c]
              mail for c: ams -> c refuse {"error":"an agent may change its own entry only","code":"unauthorised","agent":"ams"} conv=c-0-26 re=c-0-26
            post c -> ams request {"action": "deregister", "description": {"name": "q"}}
              journal 0-28 posted [request agent:1]
              answer 13: posted m-0-28-0 conv=c-0-28 to 1 durable
              journal 0-29 directory [failure client:c]
              mail for c: ams -> c failure {"error":"there is no such agent","code":"not-registered","agent":"ams"} conv=c-0-28 re=c-0-28
            post c -> ams request {"action": "dance"}
              journal 0-30 posted [request agent:1]
              answer 14: posted m-0-30-0 conv=c-0-30 to 1 durable
              journal 0-31 directory [not-understood client:c]
              mail for c: ams -> c not-understood {"error":"`ams` knows search, get-description, register, modify and deregister, not `dance`","code":"unsupported-function","agent":"ams"} conv=c-0-30 re=c-0-30
            post c -> ams subscribe {"x": 1}
              journal 0-32 posted [subscribe agent:1]
              answer 15: posted m-0-32-0 conv=c-0-32 to 1 durable
              journal 0-33 directory [not-understood client:c]
              mail for c: ams -> c not-understood {"error":"`ams` answers request and query-ref, not `subscribe`","code":"unsupported-act","agent":"ams"} conv=c-0-32 re=c-0-32
        "#]],
    );
}

#[test]
fn ams_takes_an_agents_own_services_out() {
    check(
        r#"
        deploy a init=hold
        turn a ok register {"performatives": ["inform"], "services": [{"name": "x"}]}
        post c -> a inform
        turn a ok send {"performative": "request", "receiver": "ams", "content": {"action": "deregister", "description": {"name": "a"}}} ; send {"performative": "request", "receiver": "ams", "content": {"action": "modify", "description": {"name": "a", "state": "suspended"}}}
        turn a ok
        post c -> {"capability":"x"} inform
        post c -> a request
        "#,
        expect![[r#"
            deploy a init=hold
              run a 1 init Deploy
            turn a ok register {"performatives": ["inform"], "services": [{"name": "x"}]}
              journal 0-1 deployed
              journal 0-2 instance-started
              journal 0-3 turn 1 returned 0
              event a is Running: deployed
              answer 1: Running
              host answered register=0
            post c -> a inform
              journal 0-4 posted [inform agent:10]
              answer 2: posted m-0-4-0 conv=c-0-4 to 1 durable
              run a 2 message c -> a inform null conv=c-0-4
            turn a ok send {"performative": "request", "receiver": "ams", "content": {"action": "deregister", "description": {"name": "a"}}} ; send {"performative": "request", "receiver": "ams", "content": {"action": "modify", "description": {"name": "a", "state": "suspended"}}}
              journal 0-5 turn 2 returned 0 [request agent:1] [request agent:1]
              journal 0-6 directory [inform agent:10]
              journal 0-7 directory [refuse agent:10]
              journal 0-8 refused [refuse dead:not-understood] [not-understood agent:1]
              event dead letter for a: not-understood: `a` has not registered `refuse`
              journal 0-9 directory
              run a 3 message ams -> a inform {"done":{"action":"deregister","description":{"name":"a"}}}
              host answered send=0 send=0
            turn a ok
              journal 0-10 turn 3 returned 0
            post c -> {"capability":"x"} inform
              answer 3: refused no-capability: no agent offers `x`
            post c -> a request
              journal 0-11 posted [request agent:10]
              answer 4: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [request dead:not-understood] [not-understood client:c]
              event dead letter for a: not-understood: `a` has not registered `request`
              mail for c: a -> c not-understood {"error":"`a` has not registered `request`","code":"not-understood","agent":"a"} conv=c-0-11 re=c-0-11
        "#]],
    );
}

#[test]
fn an_operator_changes_an_agents_entry_as_the_agent_can() {
    check(
        r#"
        deploy a
        post c -> df subscribe conversation_id=w {"service": "sing"}
        enter a {"services":[{"name":"sing"}],"performatives":["request"]}
        post c -> {"capability":"sing"} request {"n": 1}
        post c -> a inform
        strike a
        tick 20ms
        post c -> {"capability":"sing"} request {"n": 2}
        post c -> a inform
        crash
        post c -> a inform
        "#,
        expect![[r#"
            deploy a
            post c -> df subscribe conversation_id=w {"service": "sing"}
              journal 0-4 posted [subscribe agent:2]
              answer 2: posted m-0-4-0 conv=w to 1 durable
              journal 0-5 directory [agree client:c] [inform client:c]
              mail for c: df -> c agree {"subscribed":{"service":"sing"}} conv=w re=c-0-4
              mail for c: df -> c inform {"result":[]} conv=w re=c-0-4
            enter a {"services":[{"name":"sing"}],"performatives":["request"]}
              journal 0-6 directory
              answer 3: Running
            post c -> {"capability":"sing"} request {"n": 1}
              journal 0-7 posted [request agent:10]
              answer 4: posted m-0-7-0 conv=c-0-7 to 1 durable
              run a 2 message c -> {"capability":"sing"} request {"n": 1} conv=c-0-7
            post c -> a inform
              journal 0-8 posted [inform agent:10]
              answer 5: posted m-0-8-0 conv=c-0-8 to 1 durable
              journal 0-9 refused [inform dead:not-understood] [not-understood client:c]
              event dead letter for a: not-understood: `a` has not registered `inform`
              mail for c: a -> c not-understood {"error":"`a` has not registered `inform`","code":"not-understood","agent":"a"} conv=c-0-8 re=c-0-8
            strike a
              journal 0-10 directory
              answer 6: Running
            tick 20ms
            post c -> {"capability":"sing"} request {"n": 2}
              answer 7: refused no-capability: no agent offers `sing`
            post c -> a inform
              journal 0-11 posted [inform agent:10]
              answer 8: posted m-0-11-0 conv=c-0-11 to 1 durable
              journal 0-12 refused [inform dead:not-understood] [not-understood client:c]
              event dead letter for a: not-understood: `a` has not registered `inform`
              mail for c: a -> c not-understood {"error":"`a` has not registered `inform`","code":"not-understood","agent":"a"} conv=c-0-11 re=c-0-11
            crash
              crash, 12 records kept
              run a 2 init NodeStart
            post c -> a inform
              journal 0-13 posted [inform agent:10]
              answer 9: posted m-0-13-0 conv=c-0-13 to 1 durable
              journal 0-14 refused [inform dead:not-understood] [not-understood client:c]
              event dead letter for a: not-understood: `a` has not registered `inform`
              mail for c: a -> c not-understood {"error":"`a` has not registered `inform`","code":"not-understood","agent":"a"} conv=c-0-13 re=c-0-13
        "#]],
    );
}
