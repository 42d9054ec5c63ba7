//! What the host keeps for an owner stays within its limit, and nobody else pays for it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use caxton_model::{
    CLIENT_HOST_BYTES, ErrorCode, Fault, Fields, HostCode, Micros, OPEN_REQUESTS_OF_AGENT, Record,
    State,
};

use super::script::Script;
use crate::{Done, Effect, Event, Post, Refusal, Ticket, split};

const MIB: u64 = 1 << 20;

/// What every owner's account is: bytes, those only it can take back, open requests, letters.
fn accounts(state: &State) -> BTreeMap<Arc<str>, (u64, u64, u32, usize)> {
    let accounts = state
        .ledger
        .accounts()
        .filter(|(_, account)| account.used() > 0);
    accounts
        .map(|(owner, a)| {
            (
                Arc::clone(owner),
                (a.used(), a.fixed(), a.open(), a.letters()),
            )
        })
        .collect()
}

/// Whether the accounts that records left are what a count of everything comes to.
pub(super) fn miscounted(state: &State) -> Option<String> {
    let mut counted = state.clone();
    counted.recount();
    let (expected, found) = (accounts(&counted), accounts(state));
    (expected != found).then(|| format!("counted {expected:?}, kept {found:?}"))
}

/// What a replay of the journal yields is what the kernels know, but for lines of conversations:
/// those are dropped without a record.
fn check(run: &Script) {
    let replayed = super::world::World::replayed(&run.world.journal);
    let mut known = State::default();
    for kernel in &run.world.kernels {
        assert_eq!(miscounted(kernel.state()), None);
        known.dead.extend(kernel.state().dead.clone());
        known.open.extend(kernel.state().open.clone());
        known
            .df_subscriptions
            .extend(kernel.state().df_subscriptions.clone());
    }
    assert!(replayed.dead == known.dead, "dead letters");
    assert!(replayed.open == known.open, "open requests");
    assert!(
        replayed.df_subscriptions == known.df_subscriptions,
        "subscriptions"
    );
}

fn used(run: &Script, owner: &str) -> u64 {
    let accounts = run
        .world
        .kernels
        .iter()
        .map(|k| k.state().ledger.account(owner));
    accounts.flatten().map(|account| account.used()).sum()
}

fn letters_of(run: &Script, sender: &str) -> usize {
    let letters = run
        .world
        .kernels
        .iter()
        .flat_map(|k| k.state().dead.values());
    letters
        .filter(|letter| &*letter.message.sender == sender)
        .count()
}

fn post(run: &mut Script, client: &str, json: &str) -> Result<Done, Refusal> {
    let post = Post {
        client: client.into(),
        namespace: None,
        message_id: None,
        fields: Fields::parse(json.as_bytes(), 2 * MIB).unwrap(),
    };
    let ticket = Ticket(1);
    let mut effects = Vec::new();
    let now = run.world.now;
    run.world.kernels[0].step(now, Event::Post { ticket, post }, &mut effects);
    let mut answer = None;
    for effect in effects {
        match effect {
            Effect::Answer { answer: given, .. } => answer = Some(given),
            other => run.world.perform(0, other),
        }
    }
    answer.unwrap()
}

/// A message for an agent and so many names that nobody has.
fn to_nobodies(agent: &str, nobodies: usize, bytes: usize) -> String {
    let names = (0..nobodies).map(|n| format!(r#","nobody-{n}""#));
    let (names, content) = (names.collect::<String>(), "x".repeat(bytes));
    format!(r#"{{"performative":"inform","receiver":["{agent}"{names}],"content":"{content}"}}"#)
}

#[test]
fn at_its_limit_an_owner_loses_its_own_oldest_dead_letters_and_no_neighbours() {
    for (posts, nobodies, bytes) in [(36, 90, 1_000_000), (60, 998, 900_000), (200, 998, 8_000)] {
        let mut run = Script::new(1);
        run.line("deploy a mailbox=10000 mailbox_bytes=1GiB");
        post(&mut run, "neighbour", &to_nobodies("a", 3, 100)).unwrap();
        for _ in 0..posts {
            post(&mut run, "evil", &to_nobodies("a", nobodies, bytes)).unwrap();
        }
        let evil = used(&run, "evil");
        assert!(evil <= CLIENT_HOST_BYTES, "{evil}");
        assert!(evil > CLIENT_HOST_BYTES / 2, "the newest are kept: {evil}");
        assert_eq!(letters_of(&run, "neighbour"), 3);
        // A message is counted once, however many did not get it.
        assert!(letters_of(&run, "evil") >= nobodies * 4);
        let told = run.world.transcript.contains("dead letters of evil went");
        assert!(told, "it is told as an event");
        check(&run);
    }
}

#[test]
fn a_guests_dead_letters_stay_within_its_own_limit() {
    let mut run = Script::new(1);
    run.line("deploy sink mailbox=10000 mailbox_bytes=1GiB");
    run.line("deploy evil host_bytes=1MiB messages_per_second=1000000");
    let now = run.world.now;
    for _ in 0..20 {
        post(
            &mut run,
            "c",
            r#"{"performative":"inform","receiver":"evil","content":1}"#,
        )
        .unwrap();
        let json = to_nobodies("sink", 90, 100_000);
        let id = run.world.directory.resolve("evil").unwrap().spec.id;
        run.world.end_turn(id, |ctx, _| {
            ctx.send_message(now, json.as_bytes()).unwrap();
            Ok(0)
        });
    }
    let evil = used(&run, "evil");
    assert!((MIB / 2..=MIB).contains(&evil), "{evil}");
    check(&run);
}

#[test]
fn requests_of_one_are_bounded_and_a_client_still_gets_its_timeout() {
    let mut run = Script::new(1);
    run.line("deploy silent mailbox=10000");
    run.line("deploy evil messages_per_second=1000000");
    let now = run.world.now;
    post(
        &mut run,
        "c",
        r#"{"performative":"inform","receiver":"evil","content":1}"#,
    )
    .unwrap();
    let id = run.world.directory.resolve("evil").unwrap().spec.id;
    let mut first = None;
    run.world.end_turn(id, |ctx, _| {
        for n in 0..2 * OPEN_REQUESTS_OF_AGENT {
            let json = format!(
                r#"{{"performative":"request","receiver":"silent","content":1,
                    "reply_with":"r-{n}","reply_by":"9999-12-31T23:59:59Z"}}"#
            );
            if let Err(code) = ctx.send_message(now, json.as_bytes()) {
                first.get_or_insert((n, code));
            }
        }
        Ok(0)
    });
    assert_eq!(
        first,
        Some((OPEN_REQUESTS_OF_AGENT, HostCode::QuotaReached))
    );
    run.line("post client -> silent request reply_by=1s");
    run.line("tick 2s");
    let mail = run.world.transcript.rfind("mail for client").unwrap();
    assert!(run.world.transcript[mail..].contains("timeout"));
    check(&run);
}

#[test]
fn a_reply_by_in_a_far_year_times_out_after_seven_days() {
    let mut run = Script::new(1);
    run.line("deploy silent");
    let json = r#"{"performative":"request","receiver":"silent","content":1,
        "reply_by":"9999-12-31T23:59:59Z"}"#;
    post(&mut run, "client", json).unwrap();
    run.world.pass(Micros::secs(7 * 24 * 3600 - 10));
    assert!(!run.world.transcript.contains("mail for client"));
    run.world.pass(Micros::secs(20));
    assert!(run.world.transcript.contains("mail for client"));
    assert!(run.world.kernels[0].state().open.is_empty());
    check(&run);
}

#[test]
fn subscriptions_to_the_directory_are_charged_and_refused_at_the_limit() {
    let mut run = Script::new(1);
    run.line("deploy evil host_bytes=100KiB");
    post(
        &mut run,
        "c",
        r#"{"performative":"inform","receiver":"evil","content":1}"#,
    )
    .unwrap();
    let (now, id) = (
        run.world.now,
        run.world.directory.resolve("evil").unwrap().spec.id,
    );
    let protocols: Vec<String> = (0..60).map(|n| format!("{n:0>250}")).collect();
    run.world.end_turn(id, |ctx, _| {
        for n in 0..10 {
            let json = serde_json::json!({
                "performative": "subscribe", "receiver": "df", "conversation_id": format!("c-{n}"),
                "content": { "description": { "protocols": protocols } },
            });
            ctx.send_message(now, json.to_string().as_bytes()).unwrap();
        }
        Ok(0)
    });
    // Each costs 15 KB in both copies of the state.
    assert_eq!(run.world.kernels[0].state().df_subscriptions.len(), 3);
    assert!(used(&run, "evil") <= 100 << 10);
    check(&run);
}

#[test]
fn a_clients_request_beyond_its_room_is_refused_by_name() {
    let mut run = Script::new(1);
    run.line("deploy silent mailbox=100000 mailbox_bytes=1GiB");
    let mut refused = None;
    for n in 0..20_000 {
        let pad = "p".repeat(1_000);
        let json = format!(
            r#"{{"performative":"request","receiver":"silent","content":1,"protocol":"{pad}",
                "reply_with":"r-{n}","reply_by":"9999-12-31T23:59:59Z"}}"#
        );
        if let Err(refusal) = post(&mut run, "evil", &json) {
            refused = Some((n, refusal.code));
            break;
        }
    }
    let (after, code) = refused.unwrap();
    assert_eq!(code, ErrorCode::HostBytesLimit);
    assert!(after > 1_000);
    let json = r#"{"performative":"request","receiver":"silent","content":1,"reply_by":"9999-12-31T23:59:59Z"}"#;
    post(&mut run, "neighbour", json).unwrap();
}

#[test]
fn lines_of_one_sender_push_out_no_other_senders() {
    let mut run = Script::new(1);
    run.line("deploy a mailbox=100000 mailbox_bytes=1GiB");
    let say = |conversation: &str, bytes: usize| {
        let content = "x".repeat(bytes);
        format!(
            r#"{{"performative":"inform","receiver":"a","conversation_id":"{conversation}","content":"{content}"}}"#
        )
    };
    post(&mut run, "neighbour", &say("theirs", 10)).unwrap();
    for n in 0..300 {
        // In a conversation of its own, and in the neighbour's.
        let id = if n % 2 == 0 { "own" } else { "theirs" };
        post(&mut run, "evil", &say(id, 50_000)).unwrap();
    }
    let state = run.world.kernels[0].state();
    let lines = &state.conversations["theirs"].lines;
    assert!(lines.iter().any(|line| &*line.sender == "neighbour"));
    assert!(used(&run, "evil") <= 2 * MIB);
    check(&run);
}

#[test]
fn a_start_over_a_state_beyond_the_limits_brings_it_within_them() {
    let mut run = Script::new(1);
    run.line("deploy a mailbox=10000 mailbox_bytes=1GiB");
    for _ in 0..30 {
        post(&mut run, "evil", &to_nobodies("a", 5, 900_000)).unwrap();
    }
    // As an older program would have left it: nothing was dropped.
    run.world
        .journal
        .retain(|entry| !matches!(entry.record, Record::DeadLettersTaken { .. }));
    let all = run.world.journal.len();
    run.world.crash(all);
    run.world.tick();
    let evil = used(&run, "evil");
    assert!((MIB..=CLIENT_HOST_BYTES).contains(&evil), "{evil}");
    let state = run.world.kernels[0].state().clone();
    let again = split(state, &run.world.directory);
    assert_eq!(miscounted(&again[0].state), None);
}

#[test]
fn a_namespace_above_its_share_makes_room_in_itself() {
    let mut run = Script::new(1);
    run.line("deploy a mailbox=10000 mailbox_bytes=1GiB");
    run.world.directory.host_shares().set_share(4 * MIB);
    post(&mut run, "acme/n", &to_nobodies("a", 3, 900_000)).unwrap();
    for n in 0..60 {
        let evil = format!("evil-{}", n % 3);
        post(&mut run, &evil, &to_nobodies("a", 3, 500_000)).unwrap();
    }
    let evils: u64 = (0..3).map(|n| used(&run, &format!("evil-{n}"))).sum();
    assert!((MIB..=4 * MIB).contains(&evils), "{evils}");
    assert_eq!(letters_of(&run, "acme/n"), 3);
    check(&run);
}

#[test]
fn at_the_share_of_all_namespaces_the_largest_make_room_and_a_small_one_keeps_what_it_has() {
    let mut run = Script::new(1);
    run.line("deploy a mailbox=10000 mailbox_bytes=1GiB");
    let shares = run.world.directory.clone();
    let shares = shares.host_shares();
    shares.set_share(8 * MIB);
    post(&mut run, "acme/n", &to_nobodies("a", 3, 100_000)).unwrap();
    // It only has what it has when the others come.
    for _ in 0..7 {
        post(&mut run, "idle/n", &to_nobodies("a", 3, 900_000)).unwrap();
    }
    assert!(!shares.are_over() && used(&run, "idle/n") > 6 * MIB);
    for n in 0..60 {
        let evil = format!("evil-{}/n", n % 3);
        post(&mut run, &evil, &to_nobodies("a", 3, 500_000)).unwrap();
        let mut effects = Vec::new();
        let now = run.world.now;
        run.world.kernels[0].step(now, Event::TrimHostBytes, &mut effects);
        for effect in effects {
            run.world.perform(0, effect);
        }
        assert!(!shares.are_over(), "after {n}");
        assert!(!shares.is_heavy("acme/n"));
    }
    assert!((0..3).any(|n| shares.is_heavy(&format!("evil-{n}/n"))));
    assert!(used(&run, "idle/n") <= 2 * MIB);
    assert_eq!(letters_of(&run, "acme/n"), 3);
    check(&run);
}

#[test]
fn a_namespace_whose_mailboxes_are_full_is_a_heavy_one() {
    let mut run = Script::new(1);
    run.line("deploy acme/a mailbox=10000 mailbox_bytes=1GiB");
    run.line("deploy beta/b mailbox=10000 mailbox_bytes=1GiB");
    let directory = run.world.directory.clone();
    let shares = directory.host_shares();
    shares.set_share(8 * MIB);
    let content = "x".repeat(900_000);
    for (to, count) in [("acme/a", 20), ("beta/b", 1)] {
        let message =
            format!(r#"{{"performative":"inform","receiver":"{to}","content":"{content}"}}"#);
        for _ in 0..count {
            post(&mut run, "c", &message).unwrap();
        }
    }
    let mail = directory.mail_by_namespace();
    assert!(
        mail["acme"] > 15 * MIB && mail["beta"] < 2 * MIB,
        "{mail:?}"
    );
    assert!(!shares.is_heavy("acme/n"), "nobody has looked at the mail");
    shares.set_mail(mail);
    assert!(shares.is_heavy("acme/n") && !shares.is_heavy("beta/n"));
    shares.set_mail(HashMap::new());
    assert!(!shares.is_heavy("acme/n"));
}

#[test]
fn an_agents_own_metrics_are_charged_to_it_until_it_goes_even_if_its_turn_faults() {
    let mut run = Script::new(1);
    run.line("deploy a host_bytes=100KiB");
    let id = run.world.directory.resolve("a").unwrap().spec.id;
    let fixed = |run: &Script| {
        let account = run.world.kernels[0].state().ledger.account("a");
        account.map_or(0, |account| account.fixed())
    };
    let turn = |run: &mut Script, metrics: u64, result: Result<i32, Fault>| {
        post(
            run,
            "c",
            r#"{"performative":"inform","receiver":"a","content":1}"#,
        )
        .unwrap();
        let mut kept = Ok(());
        run.world.end_turn(id, |ctx, _| {
            kept = ctx.keep_metrics(metrics);
            result
        });
        kept
    };
    let fault = Fault::new(ErrorCode::AgentFailed, "a fault");
    assert_eq!(turn(&mut run, 10_000, Err(fault)), Ok(()));
    run.line("tick 1m");
    assert_eq!(fixed(&run), 10_000);
    assert_eq!(turn(&mut run, 30_000, Ok(0)), Ok(()));
    assert_eq!(fixed(&run), 30_000);
    assert_eq!(turn(&mut run, 200_000, Ok(0)), Err(HostCode::QuotaReached));
    assert_eq!(fixed(&run), 30_000);
    run.line("remove a");
    assert_eq!(fixed(&run), 0);
}
