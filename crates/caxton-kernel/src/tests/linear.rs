//! Twice the input is at most twice the work, counted in elements that the host looks at.

use std::fmt::Write as _;

use caxton_model::{ErrorCode, Fields, Micros};

use super::script::Script;
use crate::{
    Effect, Event, Post, Refusal, Ticket, bounds::LIST_MAX, client_work::ELEMENTS_A_SECOND,
};

/// Elements looked at while these lines are done, after those.
fn visited(before: &str, lines: &str) -> u64 {
    let mut script = Script::new(1);
    let all = |script: &Script| -> u64 {
        let kernels = script.world.kernels.iter();
        kernels.map(|kernel| kernel.work.visited()).sum()
    };
    let run = |lines: &str, script: &mut Script| {
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            script.line(line);
            script.world.deliver_all();
        }
    };
    run(before, &mut script);
    let begun = all(&script);
    run(lines, &mut script);
    all(&script) - begun
}

/// Texts `x0`, `x1`, … as a JSON list without blanks.
fn texts(count: usize) -> String {
    let all: Vec<String> = (0..count).map(|n| format!("\"x{n}\"")).collect();
    format!("[{}]", all.join(","))
}

/// Services with those names, each with so many protocols.
fn services(count: usize, protocols: usize) -> String {
    let protocols = texts(protocols);
    let all: Vec<String> = (0..count)
        .map(|n| format!("{{\"name\":\"x{n}\",\"type\":\"t{n}\",\"protocols\":{protocols}}}"))
        .collect();
    format!("[{}]", all.join(","))
}

fn deployed(count: usize, entry: &str) -> String {
    let mut lines = String::new();
    for n in 0..count {
        writeln!(lines, "deploy a{n}").unwrap();
        if !entry.is_empty() {
            writeln!(lines, "enter a{n} {entry}").unwrap();
        }
    }
    lines
}

fn df(action: &str, description: &str) -> String {
    format!("post c -> df request {{\"action\": \"{action}\", \"description\": {description}}}\n")
}

/// A turn of `a0` in which it sends this.
fn turn(action: &str) -> String {
    format!("post c -> a0 request\nturn a0 ok {action}\n")
}

type Case = (&'static str, Box<dyn Fn(usize) -> (String, String)>);

fn cases() -> Vec<Case> {
    let case = |name, of: fn(usize) -> (String, String)| -> Case { (name, Box::new(of)) };
    vec![
        case("df search: protocols in both", |n| {
            let entry = format!(
                "{{\"protocols\":{},\"services\":{}}}",
                texts(n),
                services(1, 1)
            );
            (
                deployed(20, &entry),
                df("search", &format!("{{\"protocols\": {}}}", texts(n))),
            )
        }),
        case("df search: services in both", |n| {
            let entry = format!("{{\"services\":{}}}", services(n, 1));
            (
                deployed(20, &entry),
                df("search", &format!("{{\"services\": {}}}", services(n, 1))),
            )
        }),
        case("df search: kinds that nobody has", |n| {
            let entry = format!("{{\"services\":{}}}", services(n, 1));
            let kinds: Vec<String> = (0..n).map(|k| format!("{{\"type\":\"u{k}\"}}")).collect();
            let wanted = format!("{{\"services\": [{}]}}", kinds.join(","));
            (deployed(20, &entry), df("search", &wanted))
        }),
        case("df search: a service's protocols in both", |n| {
            let entry = format!("{{\"services\":{}}}", services(1, n));
            (
                deployed(20, &entry),
                df("search", &format!("{{\"services\": {}}}", services(1, n))),
            )
        }),
        case("df search: agents", |n| {
            let entry = format!("{{\"services\":{}}}", services(1, 1));
            (deployed(n, &entry), df("search", "{\"service\": \"x0\"}"))
        }),
        case("df register", |n| {
            let entry = format!(
                "{{\"services\":{},\"protocols\":{}}}",
                services(n, 1),
                texts(n)
            );
            let sent = format!(
                "send {{\"performative\": \"request\", \"receiver\": \"df\", \"content\": \
                 {{\"action\": \"register\", \"description\": {entry}}}}}"
            );
            (deployed(1, ""), turn(&sent))
        }),
        case("df subscribe, and a change", |n| {
            let wanted = format!("{{\"services\": {}}}", services(n, 1));
            let entry = format!("{{\"services\":{}}}", services(n, 1));
            let subscribe =
                format!("post c -> df subscribe conversation_id=s {{\"description\": {wanted}}}\n");
            (
                deployed(20, &entry),
                format!("{subscribe}strike a0\ntick 50ms\n"),
            )
        }),
        case("df: subscriptions", |n| {
            let mut lines = deployed(1, "");
            for n in 0..n {
                let description = format!("{{\"description\": {{\"service\": \"y{n}\"}}}}");
                writeln!(
                    lines,
                    "post c -> df subscribe conversation_id=s{n} {description}"
                )
                .unwrap();
            }
            let entry = format!("{{\"services\":{}}}", services(1, 1));
            (lines, format!("enter a0 {entry}\ntick 50ms\n"))
        }),
        case("ams search: agents", |n| {
            let search = "post c -> ams request {\"action\": \"search\", \"description\": {\"name\": \"a*\"}}\n";
            (deployed(n, ""), search.to_owned())
        }),
        case("a client's list of receivers", |n| {
            let names: Vec<String> = (0..10 * n).map(|k| format!("\"a{}\"", k % 10)).collect();
            let post = format!("post c -> [{}] inform\n", names.join(","));
            (deployed(10, ""), post)
        }),
        case("a guest's list of receivers", |n| {
            let names: Vec<String> = (0..10 * n).map(|k| format!("\"n{k}\"")).collect();
            let receivers = names.join(", ");
            let sent = format!(
                "send {{\"performative\": \"inform\", \"receiver\": [\"a1\", {receivers}]}}"
            );
            (deployed(2, ""), turn(&sent))
        }),
        case("dead letters", |n| {
            let names: Vec<String> = (0..10 * n).map(|k| format!("\"n{k}\"")).collect();
            let post = format!("post c -> [\"a0\",{}] inform\n", names.join(","));
            (deployed(1, "") + &post, "delete\n".to_owned())
        }),
        case("a filter's capabilities", |n| {
            let entry = format!("{{\"services\":{}}}", services(n / 2, 1));
            let filter = format!("{{\"capabilities\": {}}}", texts(n / 2));
            let sent = format!("broadcast {filter} | {{\"performative\": \"inform\"}}");
            (deployed(20, &entry), turn(&sent))
        }),
        case("an event's listeners", |n| {
            let listening: String = (0..n)
                .map(|k| {
                    format!(
                        "deploy l{k} init=hold\nturn l{k} ok subscribe {{\"topic\": \"t.*\"}}\n"
                    )
                })
                .collect();
            (deployed(1, "") + &listening, turn("emit t.new | 1"))
        }),
        case("register_capabilities", |n| {
            let entry = format!("{{\"services\":{}}}", services(n, 1));
            (deployed(1, ""), turn(&format!("register {entry}")))
        }),
        case("a client's replies", |n| {
            let mut lines = deployed(1, "");
            for _ in 0..n {
                lines += &turn("reply inform 1");
            }
            (lines, "read c\n".to_owned())
        }),
    ]
}

#[test]
fn twice_the_input_is_at_most_twice_the_work() {
    for (name, of) in cases() {
        let count = |n: usize| {
            let (before, lines) = of(n);
            visited(&before, &lines)
        };
        let (half, whole) = (count(LIST_MAX / 2), count(LIST_MAX));
        assert!(half > 0, "{name}: nothing was counted");
        assert!(whole <= half * 2 + half / 5, "{name}: {half}, then {whole}");
    }
}

#[test]
fn what_was_kept_before_there_were_bounds_is_searched_without_going_through_it() {
    let entry = |n: usize| {
        let services = services(1, 1);
        format!("{{\"protocols\":{},\"services\":{services}}}", texts(n))
    };
    let last = |n: usize| df("search", &format!("{{\"protocols\": [\"x{}\"]}}", n - 1));
    // The answer is as long as the entry; looking for it is not.
    let none = df("search", "{\"protocols\": [\"none\"]}");
    let (few, many) = (
        visited(&deployed(1, &entry(10)), &none),
        visited(&deployed(1, &entry(60_000)), &none),
    );
    assert_eq!(few, many);
    let found = visited(&deployed(1, &entry(60_000)), &last(60_000));
    assert!(found < 60_000, "{found}");
}

#[test]
fn what_the_host_does_for_an_agent_is_charged_to_it() {
    let search = "send {\"performative\": \"request\", \"receiver\": \"df\", \
                  \"content\": {\"action\": \"search\"}}";
    let cpu = |agents: usize| {
        let mut script = Script::new(1);
        let entry = format!("{{\"services\":{}}}", services(64, 64 / 8));
        let lines = deployed(agents, &entry) + &turn(search) + &turn("reply inform 1");
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            script.line(line);
            script.world.deliver_all();
        }
        let agent = script.world.agent(caxton_model::AgentId(10)).unwrap();
        agent.cpu_micros
    };
    // Each turn of a script has run for ten microseconds.
    let (few, many) = (cpu(1), cpu(50));
    assert!(many > few + 100, "{few}, then {many}");
}

/// A search that goes through all agents and finds none, posted by a client; what was looked at for it, or its refusal.
fn search(script: &mut Script, client: &str) -> Result<u64, Refusal> {
    let json = r#"{"performative":"request","receiver":"df",
        "content":{"action":"search","description":{"protocols":["none"]}}}"#;
    let post = Post {
        client: client.into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(json.as_bytes(), 1 << 20).unwrap(),
    };
    let (now, ticket, mut effects) = (script.world.now, Ticket(1), Vec::new());
    let kernel = &mut script.world.kernels[0];
    let begun = kernel.work.visited();
    kernel.step(now, Event::Post { ticket, post }, &mut effects);
    let visited = kernel.work.visited() - begun;
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::Answer { answer, .. } => Some(answer),
        _ => None,
    });
    answer.unwrap().map(|_| visited)
}

#[test]
fn what_the_host_looks_at_for_a_client_is_bounded_for_it_and_no_neighbour_waits() {
    let mut script = Script::new(1);
    for line in deployed(2_000, "").lines() {
        script.line(line);
    }
    let one = search(&mut script, "neighbour").unwrap();
    let (mut all, mut refused) = (0, 0);
    let begun = script.world.kernels[0].work.visited();
    for _ in 0..3 {
        // Far more than are answered.
        for _ in 0..2 * ELEMENTS_A_SECOND / one {
            match search(&mut script, "evil") {
                Ok(visited) => all += visited,
                Err(refusal) => {
                    assert_eq!(refusal.code, ErrorCode::TooManyRequests);
                    refused += 1;
                }
            }
        }
        assert_eq!(search(&mut script, "neighbour"), Ok(one));
        script.world.pass(Micros::secs(1));
    }
    // A full bucket at first, two more as time passes, and the last search of each second.
    assert!(all >= 2 * ELEMENTS_A_SECOND, "{all}");
    assert!(all <= 3 * (ELEMENTS_A_SECOND + one), "{all}");
    assert!(refused > 2 * ELEMENTS_A_SECOND / one, "{refused}");
    // What was refused was not looked at.
    let visited = script.world.kernels[0].work.visited() - begun;
    assert_eq!(visited, all + 3 * one);
}

#[test]
fn buckets_of_clients_that_have_paid_are_dropped() {
    let mut script = Script::new(1);
    script.line("deploy a");
    for round in 0..10 {
        for client in 0..100 {
            search(&mut script, &format!("c-{round}-{client}")).unwrap();
        }
        script.world.pass(Micros::secs(1));
    }
    let kept = script.world.kernels[0].client_work.len();
    assert!(kept <= 250, "{kept}");
}
