//! Who may answer a request: whoever it was resolved to, before and after a restart.

use caxton_model::CLIENT_REPLIES_MAX;

use super::script::Script;

const FORGED: &str = r#"send {"performative": "inform", "receiver": "c", "in_reply_to": "r-1", "content": "forged"}"#;
const FLOOD: &str = r#"send {"performative": "inform", "receiver": "c", "content": "flood"}"#;

/// A node on which `c` asked `asked` something, and nobody has answered.
fn asked(shards: u16, receiver: &str) -> Script {
    let mut run = Script::new(shards);
    run.line("deploy asked");
    run.line("deploy other messages_per_second=100000 host_calls=100000");
    say(&mut run, r#"enter asked {"services":[{"name":"sing"}]}"#);
    say(
        &mut run,
        &format!("post c -> {receiver} request reply_with=r-1 conversation_id=talk"),
    );
    run
}

fn say(run: &mut Script, line: &str) {
    run.line(line);
    run.world.deliver_all();
}

/// Ends the turn that runs, if `init` is before it also that.
fn turn(run: &mut Script, agent: &str, does: &str) {
    say(run, &format!("turn {agent} ok {does}"));
}

/// Has `other` do something in a turn of its own.
fn other_does(run: &mut Script, does: &str) {
    say(run, "post k -> other inform");
    let before = run.world.transcript.len();
    if run.world.transcript[..before]
        .lines()
        .next_back()
        .is_some_and(|l| l.contains("init"))
    {
        turn(run, "other", "");
    }
    turn(run, "other", does);
}

fn replies(run: &Script) -> usize {
    let clients = run
        .world
        .kernels
        .iter()
        .filter_map(|k| k.state().clients.get("c"));
    clients.map(|client| client.replies().len()).sum()
}

fn letters(run: &Script) -> usize {
    run.world
        .kernels
        .iter()
        .map(|kernel| kernel.state().dead.len())
        .sum()
}

#[test]
fn after_a_restart_a_reply_is_taken_from_whoever_was_asked_and_from_nobody_else() {
    for shards in [1, 3] {
        for receiver in ["asked", r#"["asked"]"#, r#"{"capability":"sing"}"#] {
            let mut run = asked(shards, receiver);
            say(&mut run, "crash");
            other_does(&mut run, FORGED);
            assert_eq!(
                (replies(&run), letters(&run)),
                (0, 1),
                "{}",
                run.world.transcript
            );
            turn(&mut run, "asked", "");
            turn(&mut run, "asked", r#"reply inform {"n": 1}"#);
            assert_eq!(replies(&run), 1, "{}", run.world.transcript);
            run.check_replay();
        }
    }
}

#[test]
fn after_a_restart_a_reply_has_its_place_in_a_full_mailbox() {
    for shards in [1, 3] {
        let mut run = asked(shards, "asked");
        say(&mut run, "crash");
        let flood = vec![FLOOD; 500].join(" ; ");
        for _ in 0..CLIENT_REPLIES_MAX / 500 {
            other_does(&mut run, &flood);
        }
        other_does(&mut run, FLOOD);
        assert_eq!((replies(&run), letters(&run)), (CLIENT_REPLIES_MAX, 1));
        turn(&mut run, "asked", "");
        turn(&mut run, "asked", r#"reply inform {"n": 1}"#);
        assert_eq!((replies(&run), letters(&run)), (CLIENT_REPLIES_MAX, 2));
        assert!(
            run.world.transcript.contains("it made room"),
            "{}",
            letters(&run)
        );
        // Answered before the next restart, so that there is no second place.
        say(&mut run, "crash");
        let letters_before = letters(&run);
        say(&mut run, "post k -> asked inform");
        turn(&mut run, "asked", "");
        turn(
            &mut run,
            "asked",
            r#"send {"performative": "inform", "receiver": "c", "in_reply_to": "r-1", "content": "again"}"#,
        );
        assert_eq!(
            (replies(&run), letters(&run)),
            (CLIENT_REPLIES_MAX, letters_before + 1)
        );
        let last = run.world.transcript.rfind("event dead").unwrap();
        assert!(!run.world.transcript[last..].contains("made room"));
        run.check_replay();
    }
}

#[test]
fn a_forged_answer_whose_refusal_was_lost_is_refused_after_the_restart() {
    let mut run = asked(1, "asked");
    other_does(&mut run, FORGED);
    assert_eq!((replies(&run), letters(&run)), (0, 1));
    // Its turn is the last record that is kept.
    let turn = run
        .world
        .journal
        .iter()
        .rposition(|entry| matches!(entry.record, caxton_model::Record::Turn(_)));
    let lost = run.world.journal.len() - 1 - turn.unwrap();
    say(&mut run, &format!("crash {lost}"));
    assert_eq!(
        (replies(&run), letters(&run)),
        (0, 1),
        "{}",
        run.world.transcript
    );
}

#[test]
fn a_forged_answer_leaves_a_request_open_and_its_time_out_comes() {
    for crashes in [false, true] {
        for receiver in ["asked", r#"["asked"]"#, r#"{"capability":"sing"}"#] {
            let mut run = asked(3, receiver);
            let ask = format!("post c -> {receiver} request reply_with=r-2 reply_by=5s");
            say(&mut run, &ask);
            // One agent asks another as well.
            let ask = format!(
                r#"send {{"performative": "request", "receiver": {}, "reply_with": "r-3", "reply_by": {}}}"#,
                if receiver == "asked" {
                    r#""asked""#
                } else {
                    receiver
                },
                run.world.now.after(caxton_model::Micros::secs(5)).0
            );
            run.line("deploy asker");
            say(&mut run, "post k -> asker inform");
            turn(&mut run, "asker", &ask);
            if crashes {
                say(&mut run, "crash");
            }
            other_does(
                &mut run,
                r#"send {"performative": "inform", "receiver": "c", "in_reply_to": "r-2"} ; send {"performative": "inform", "receiver": "asker", "in_reply_to": "r-3"}"#,
            );
            let open = |run: &Script| -> usize {
                run.world.kernels.iter().map(|k| k.state().open.len()).sum()
            };
            assert_eq!(open(&run), 2, "{}", run.world.transcript);
            run.check_replay();
            say(&mut run, "tick 6s");
            assert_eq!(open(&run), 0, "{}", run.world.transcript);
            let timeouts = run.world.transcript.matches("\"code\":\"timeout\"").count();
            assert!(timeouts >= 1, "{}", run.world.transcript);
            assert_eq!(replies(&run), 1, "{}", run.world.transcript);
            run.check_replay();
        }
    }
}

#[test]
fn what_a_third_one_has_the_host_say_ends_no_wait() {
    for receiver in [
        r#""ams""#,
        r#""df""#,
        r#"["df"]"#,
        r#""asked""#,
        r#""gone""#,
    ] {
        for content in [r#"{"action": "PAY"}"#, r#"{"action": "search"}"#] {
            let mut run = asked(3, "asked");
            run.line("deploy gone");
            say(
                &mut run,
                "post c -> asked request reply_with=r-2 reply_by=5s",
            );
            say(&mut run, "stop gone now 1s");
            let fields = format!(
                r#""performative": "request", "reply_to": "c", "reply_with": "r-2", "conversation_id": "talk", "content": {content}"#
            );
            other_does(
                &mut run,
                &format!(r#"send {{"receiver": {receiver}, {fields}}}"#),
            );
            for kernel in &run.world.kernels {
                for mail in kernel
                    .state()
                    .clients
                    .get("c")
                    .iter()
                    .flat_map(|c| c.replies())
                {
                    let message = &mail.message;
                    assert_eq!(message.in_reply_to, None, "{}", run.world.transcript);
                    assert_eq!(message.conversation_id, None, "{}", run.world.transcript);
                }
            }
            let open: usize = run.world.kernels.iter().map(|k| k.state().open.len()).sum();
            assert_eq!(open, 1, "{}", run.world.transcript);
            run.check_replay();
        }
    }
}
