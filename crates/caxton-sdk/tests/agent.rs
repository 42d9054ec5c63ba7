//! An agent written with the SDK, against the host in memory.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test program")]

use std::time::Duration;

use caxton_sdk::*;
use serde_json::{Value, json};

const SEEN: State<Vec<i32>> = State::new("seen");

#[agent(migrate)]
#[derive(Default)]
struct Everything {
    messages: u32,
}

impl Agent for Everything {
    fn init(&mut self) -> Result<(), String> {
        register_handler("later", later);
        register_handler("await", awaited);
        register_handler("lost", |m: &FipaMessage| {
            HostTimer::set(Duration::from_secs(1), "nobody", m).map(drop)
        });
        register_handler("fetch", fetch);
        register_handler("fail", |_: &FipaMessage| Err::<(), _>("no luck"));
        register_handler("code", |_: &FipaMessage| 7);
        register_performative(Performative::Cfp, |m: &FipaMessage| {
            send_propose(m, &json!({"price": 3}))
        });
        register_resume("finish", |m: FipaMessage| {
            send_inform_response(&m, "finished")
        });
        subscribe_messages(&json!({"performative": "inform"})).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn handle(&mut self, message: &FipaMessage) -> i32 {
        self.messages += 1;
        dispatch(message)
    }

    fn on_timer(&mut self, timer_id: i32) -> i32 {
        SEEN.update(|seen| seen.push(timer_id)).map_or(1, |()| 0)
    }

    fn capabilities(&self) -> Option<Capabilities> {
        Some(Capabilities {
            version: "9".to_owned(),
            ..Capabilities::default()
        })
    }

    fn migrate(&mut self, from_version: &str) -> Result<(), String> {
        store("migrated-from", from_version).map_err(|e| e.to_string())
    }
}

fn later(message: &FipaMessage) -> Result<(), Refusal> {
    HostTimer::set(Duration::from_secs(5), "finish", message).map(drop)
}

/// In this instance the task goes on; in another the continuation does.
fn awaited(message: &FipaMessage) -> Result<(), Refusal> {
    let (asked, first) = (
        message.clone(),
        HostTimer::set(Duration::from_secs(1), "finish", message)?,
    );
    spawn(async move {
        first.await;
        send_agree(&asked, "half way");
        if let Ok(second) = HostTimer::set(Duration::from_secs(1), "finish", &asked) {
            second.await;
            send_inform_response(&asked, "both");
        }
    });
    Ok(())
}

fn fetch(message: &FipaMessage) -> Result<(), Refusal> {
    let request = http::Request::post("https://api.example/x", [0_u8, 255]).header("a", "b");
    let response = http::send(&request)?;
    send_inform_response(
        message,
        &json!({"status": response.status, "bytes": response.body}),
    );
    Ok(())
}

fn begin() {
    testing::reset();
    assert_eq!(agent_init(), 0);
}

fn ask(action: &str) -> i32 {
    testing::deliver(
        &json!({"performative": "request", "sender": "you", "reply_with": "1",
        "conversation_id": "c", "content": {"action": action}}),
    )
}

/// What was sent: performative and content.
fn sent() -> Vec<(String, Value)> {
    testing::take_sent()
        .into_iter()
        .map(|m| (m.performative, m.content))
        .collect()
}

fn informed(result: &str) -> Vec<(String, Value)> {
    vec![("inform".to_owned(), json!({ "result": result }))]
}

#[test]
fn a_timer_goes_on_where_the_instance_left_off() {
    for is_restarted in [false, true] {
        begin();
        assert_eq!(ask("later"), 0);
        if is_restarted {
            testing::restart();
        }
        assert_eq!(testing::advance(Duration::from_micros(4_999_999)), 0);
        assert!(sent().is_empty());
        assert_eq!(testing::advance(Duration::from_micros(1)), 0);
        assert_eq!(sent(), informed("finished"));
        assert_eq!(
            (testing::timers(), testing::stored("caxton.timer.1")),
            (0, None)
        );
    }
}

#[test]
fn a_task_awaits_timers_one_after_another() {
    begin();
    assert_eq!(ask("await"), 0);
    testing::advance(Duration::from_secs(1));
    assert_eq!(sent(), [("agree".to_owned(), json!("half way"))]);
    testing::advance(Duration::from_secs(1));
    assert_eq!(sent(), informed("both"));
}

#[test]
fn a_task_that_was_lost_is_replaced_by_the_continuation() {
    begin();
    assert_eq!(ask("await"), 0);
    testing::restart();
    testing::advance(Duration::from_secs(1));
    assert_eq!(sent(), informed("finished"));
    assert_eq!(testing::timers(), 0);
}

#[test]
fn a_continuation_that_nobody_registered_is_an_error_in_the_log() {
    begin();
    assert_eq!(ask("lost"), 0);
    assert_eq!(testing::advance(Duration::from_secs(1)), 1);
    assert_eq!(
        testing::take_log(),
        ["timer 1: no continuation `nobody` is registered"]
    );
}

#[test]
fn a_cancelled_timer_leaves_nothing() {
    begin();
    HostTimer::set(Duration::from_secs(1), "finish", "x")
        .unwrap()
        .cancel()
        .unwrap();
    assert_eq!(
        (testing::timers(), testing::stored("caxton.timer.1")),
        (0, None)
    );
}

#[test]
fn other_timers_come_to_the_agent() {
    begin();
    assert_eq!(handle_timer(41), 0);
    assert_eq!(SEEN.get().unwrap(), [41]);
}

#[test]
fn outcomes_are_what_the_host_and_the_asker_get() {
    begin();
    assert_eq!(ask("fail"), 1);
    assert_eq!(
        sent(),
        [("failure".to_owned(), json!({"error": "no luck"}))]
    );
    assert_eq!((ask("code"), sent()), (7, vec![]));
    assert_eq!(ask("dance"), 1);
    assert_eq!(sent()[0].0, "not-understood");
    let cfp = json!({"performative": "CFP", "sender": "you", "content": {}});
    assert_eq!(
        (testing::deliver(&cfp), sent()),
        (0, vec![("propose".to_owned(), json!({"price": 3}))])
    );
    for quiet in ["inform", "failure", "not-understood"] {
        let message = json!({"performative": quiet, "sender": "you"});
        assert_eq!((testing::deliver(&message), sent()), (0, vec![]));
        assert_eq!(testing::take_log(), [format!("Received {quiet}")]);
    }
}

#[test]
fn http_is_denied_until_somebody_answers() {
    begin();
    assert_eq!(ask("fetch"), 1);
    let error = sent()[0].1["error"].clone();
    assert_eq!(error, "http_request: denied: a permission is missing (-3)");
    testing::answer_http(|request| {
        assert_eq!(
            (request.method.as_str(), &request.body[..]),
            ("POST", &[0_u8, 255][..])
        );
        assert_eq!(request.headers, [("a".to_owned(), "b".to_owned())]);
        Ok(http::Response {
            status: 200,
            body: vec![1, 254],
            ..http::Response::default()
        })
    });
    assert_eq!(ask("fetch"), 0);
    assert_eq!(
        sent(),
        [(
            "inform".to_owned(),
            json!({"result": {"status": 200, "bytes": [1, 254]}})
        )]
    );
}

#[test]
fn what_the_host_refuses_is_said() {
    begin();
    testing::refuse(Some(HostCode::QueueFull));
    let to = message_to(Performative::Inform, "b", json!(1));
    assert_eq!(
        send_message(&to).unwrap_err().code(),
        Some(HostCode::QueueFull)
    );
    assert!(
        send_to_agent("b", &to)
            .unwrap_err()
            .contains("mailbox is full (-6)")
    );
    assert!(broadcast_to_capability("c", &to).is_err());
    assert!(store("k", "v").is_err());
    send_inform(&to, "x");
    assert_eq!(
        testing::take_log(),
        ["the inform was not sent: send_message: the receiver's mailbox is full (-6)"]
    );
    testing::refuse(None);
    assert_eq!(broadcast_to_capability("c", &to), Ok(1));
    assert_eq!(
        testing::take_sent()[0].receiver,
        json!({"capabilities": ["c"]})
    );
}

#[test]
fn state_is_typed_bytes_and_long_values_come_whole() {
    begin();
    let long = "x".repeat(5_000);
    store("long", &long).unwrap();
    assert_eq!(load::<String>("long").unwrap(), Some(long));
    assert_eq!(load::<u8>("absent").unwrap(), None);
    assert!(load::<u8>("long").is_err());
    assert_eq!((delete("long"), delete("long")), (Ok(true), Ok(false)));
    testing::set_config("greeting", "hi");
    assert_eq!(
        (config("greeting").unwrap().as_deref(), config("x").unwrap()),
        (Some("hi"), None)
    );
}

#[test]
fn the_exports_do_what_the_host_expects() {
    begin();
    assert_eq!(
        testing::subscriptions(),
        [json!({"performative": "inform"})]
    );
    let mut room = [0_u8; 4];
    let length = get_capabilities(room.as_mut_ptr(), room.len());
    assert_eq!(&room, br#"{"ve"#);
    let mut room = vec![0_u8; usize::try_from(length).unwrap()];
    assert_eq!(get_capabilities(room.as_mut_ptr(), room.len()), length);
    assert_eq!(
        serde_json::from_slice::<Value>(&room).unwrap()["version"],
        "9"
    );
    assert_eq!(migrate("1.0".as_ptr(), 3), 0);
    assert_eq!(testing::stored("migrated-from").unwrap(), b"\"1.0\"");
    let at = caxton_alloc(0);
    assert!(!at.is_null());
    caxton_free(at, 0);
    agent_shutdown();
}

#[test]
fn profiles_measure_virtual_time() {
    begin();
    set_profiling(true);
    profile_start("part");
    sleep_micros(1_500);
    assert_eq!(
        (profile_end("part"), profile_end("part")),
        (Some(1_500), None)
    );
    assert_eq!(testing::take_log(), ["Profile [part]: 1500 microseconds"]);
    set_profiling(false);
    profile_start("part");
    assert_eq!(profile_end("part"), None);
}

#[test]
fn the_vault_is_denied_until_it_has_a_secret() {
    begin();
    let denied = vault::get("token").unwrap_err();
    assert_eq!(
        denied.to_string(),
        "vault_get: denied: a permission is missing (-3)"
    );
    testing::set_secret("token", b"0123456789");
    assert_eq!(vault::get("token").unwrap().unwrap(), b"0123456789");
    assert_eq!(vault::get("other").unwrap(), None);
    vault::put("other", b"abcdefgh").unwrap();
    assert_eq!(testing::secret("other").unwrap(), b"abcdefgh");
    let code = |bytes: usize| vault::put("other", &vec![0; bytes]).unwrap_err().code();
    assert_eq!(code(7), Some(HostCode::Malformed));
    assert_eq!(code(65_537), Some(HostCode::TooLarge));
}

#[test]
fn an_event_has_its_topic() {
    begin();
    assert_eq!(emit("issues.new", &json!({"n": 1})).unwrap(), 1);
    let event = testing::take_sent().remove(0);
    assert_eq!(event_topic(&event), Some("issues.new"));
    assert_eq!(event.content, json!({"n": 1}));
    let plain: FipaMessage =
        serde_json::from_value(json!({"performative": "inform", "sender": "a", "receiver": "b"}))
            .unwrap();
    assert_eq!(event_topic(&plain), None);
}
