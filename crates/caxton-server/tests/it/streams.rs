//! Event streams: filtered, resumed, bounded, ended with the server.

use std::time::Duration;

use caxton_client::{
    EventFilter, LogEvent, LogStream, StreamedEvent, api::EventBody, api::LogEntry,
};
use caxton_server::ServerLimits;
use serde_json::json;

use crate::harness::{Harness, PATIENCE, message};

async fn next(stream: &mut caxton_client::EventStream) -> StreamedEvent {
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("an event")
        .expect("no end")
        .unwrap()
}

async fn line_or_gap(stream: &mut LogStream) -> LogEvent {
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("a line")
        .expect("no end")
        .unwrap()
}

async fn line(stream: &mut LogStream) -> LogEntry {
    match line_or_gap(stream).await {
        LogEvent::Line(line) => line,
        gap => panic!("{gap:?}"),
    }
}

fn kind(kind: &str) -> EventFilter {
    EventFilter {
        kind: Some(kind.to_owned()),
        ..EventFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_filtered_and_goes_on_where_it_was_left() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("echo", "echo-c.wasm").await;
    let mut watching = client.events(&kind("sent"), None).await.unwrap();
    let mut of_other = client
        .events(
            &EventFilter {
                conversation_id: Some("other".to_owned()),
                ..kind("sent")
            },
            None,
        )
        .await
        .unwrap();
    let send = async |conversation: &str, n: i32| {
        let mut sent = message("me", "echo", json!(n));
        sent.conversation_id = Some(conversation.to_owned());
        client
            .send_message_and_wait(sent, Duration::from_secs(20))
            .await
            .unwrap();
    };
    send("one", 1).await;
    let first = next(&mut watching).await;
    let EventBody::Sent { message, .. } = &first.body else {
        panic!("{first:?}")
    };
    assert_eq!(message.content.value(), json!(1));
    drop(watching);
    send("other", 2).await;
    let EventBody::Sent { message, .. } = next(&mut of_other).await.body else {
        panic!("not sent")
    };
    assert_eq!(message.conversation_id.as_deref(), Some("other"));
    // From behind the first event: the reply to it, then the second request and its reply.
    let mut resumed = client
        .events(&kind("sent"), first.id.as_deref())
        .await
        .unwrap();
    let mut contents = Vec::new();
    for _ in 0..3 {
        let EventBody::Sent { message, .. } = next(&mut resumed).await.body else {
            panic!("not sent")
        };
        contents.push((message.performative.to_string(), message.content.value()));
    }
    assert_eq!(
        contents,
        [
            ("inform".into(), json!(1)),
            ("request".into(), json!(2)),
            ("inform".into(), json!(2))
        ]
    );
    let mut of_before = client
        .events(&kind("sent"), Some("00000000-7"))
        .await
        .unwrap();
    assert!(matches!(next(&mut of_before).await.body, EventBody::Gap(_)));
    let answer = harness
        .call("GET", "/api/v1/events?kind=nothing", None)
        .await;
    assert_eq!(answer.code(), "malformed-request");
    let answer = harness
        .call("GET", "/api/v1/events?agent=nobody", None)
        .await;
    assert_eq!(answer.code(), "not-found");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_and_log_lines_are_followed() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("trap", "trap.wat").await;
    harness.deploy("flood", "log-flood.wat").await;
    let mut faults = client.events(&kind("fault"), None).await.unwrap();
    let mut lines = client.follow_logs("flood", None).await.unwrap();
    let failure = client
        .send_message_and_wait(message("me", "trap", json!(1)), Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(failure.performative, "failure");
    let EventBody::Fault { name, code, .. } = next(&mut faults).await.body else {
        panic!("no fault")
    };
    assert_eq!((name.as_str(), code.as_str()), ("trap", "trap"));
    client
        .send_message(message("me", "flood", json!(1)))
        .await
        .unwrap();
    assert_eq!(line(&mut lines).await.name, "flood");
    let kept = client.agent_logs("flood", None, 5).await.unwrap();
    assert!(!kept.is_empty() && kept.len() <= 5);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_behind_what_it_saw_even_if_that_was_nothing() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("flood", "log-flood.wat").await;
    let all = kind("sent");
    let mut silent = client.events(&all, None).await.unwrap();
    // The node says at once where a stream begins.
    while silent.last_event_id().is_none() {
        let soon = Duration::from_millis(10);
        assert!(tokio::time::timeout(soon, silent.next()).await.is_err());
    }
    let begin = silent.last_event_id().map(str::to_owned);
    drop(silent);
    client
        .send_message(message("me", "flood", json!(1)))
        .await
        .unwrap();
    let mut events = client.events(&all, begin.as_deref()).await.unwrap();
    assert!(matches!(
        next(&mut events).await.body,
        EventBody::Sent { .. }
    ));
    let mut lines = client.follow_logs("flood", None).await.unwrap();
    let first = line(&mut lines).await;
    assert_eq!(lines.last_event_id(), Some(&*first.id));
    let second = line(&mut lines).await;
    let behind = client.agent_logs("flood", Some(&first.id), 1_000).await;
    assert_eq!(behind.unwrap()[0].number, second.number);
    // An id of another start of the node stands for no line of this one.
    let strange = format!("ffffffff-{}", second.number + 1_000);
    let again = client.agent_logs("flood", Some(&strange), 1_000).await;
    assert_eq!(again.unwrap()[0].number, first.number);
    let wrong = client.agent_logs("flood", Some("x"), 1).await.unwrap_err();
    assert!(wrong.to_string().contains("`after`"), "{wrong}");
    // Who follows is told that it begins anew.
    let mut anew = client.follow_logs("flood", Some(&strange)).await.unwrap();
    let gap = line_or_gap(&mut anew).await;
    let LogEvent::Gap(gap) = gap else {
        panic!("{gap:?}")
    };
    assert_eq!(
        (gap.missed, gap.reason.as_str()),
        (None, "the node was started again")
    );
    assert_eq!(line(&mut anew).await.number, first.number);
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_come_in_pages_without_a_hole() {
    let harness = Harness::start().await;
    let client = harness.client();
    harness.deploy("flood", "log-flood.wat").await;
    let asked = message("me", "flood", json!(1));
    client.send_message(asked).await.unwrap();
    while client.agent("flood").await.unwrap().counters.turns == 0 {
        tokio::task::yield_now().await;
    }
    let tail = client.agent_logs("flood", None, 1_000).await.unwrap();
    assert!(tail.len() > 20, "{}", tail.len());
    let limit = tail.len() / 3;
    let page = async |query: String| {
        let path = format!("/api/v1/agents/flood/logs?limit={limit}{query}");
        harness.call("GET", &path, None).await.json()
    };
    let (mut seen, mut query) = (Vec::new(), "&after=0".to_owned());
    loop {
        let page = page(query).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        seen.extend(
            items
                .iter()
                .map(|line| line["id"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => query = format!("&cursor={next}"),
            None => break,
        }
    }
    let all: Vec<String> = tail.iter().map(|line| line.id.clone()).collect();
    assert_eq!(seen, all);
    let last = page(String::new()).await;
    assert_eq!(last["items"].as_array().unwrap().len(), limit);
    assert_eq!(last["items"][limit - 1]["id"], *all.last().unwrap());
    assert_eq!(last.get("next_cursor"), None);
    let other = page("&cursor=ffffffff-7".to_owned()).await;
    assert_eq!(other["items"][0]["id"], all[0]);
    let wrong = harness
        .call("GET", "/api/v1/agents/flood/logs?cursor=x", None)
        .await;
    assert_eq!(wrong.code(), "malformed-request");
    harness.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_with_the_server() {
    let limits = ServerLimits {
        streams_max: 3,
        ..ServerLimits::default()
    };
    let harness = Harness::with(limits, None).await;
    let client = harness.client();
    let all = EventFilter::default();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(client.events(&all, None).await.unwrap());
    }
    for _ in 0..50 {
        let error = client.events(&all, None).await.map(|_| ()).unwrap_err();
        let problem = error.problem().unwrap();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (429, "too-many-requests")
        );
        assert!(problem.retry_after_secs.is_some());
    }
    client.version().await.unwrap();
    open.pop();
    // The place is free when the server has noticed that its reader is gone.
    let freed = async {
        loop {
            if let Ok(stream) = client.events(&all, None).await {
                return stream;
            }
            harness
                .deploy(&format!("noise-{}", rand_name()), "quiet.wat")
                .await;
        }
    };
    open.push(
        tokio::time::timeout(PATIENCE, freed)
            .await
            .expect("a place is freed"),
    );
    let Harness { node, server } = harness;
    let ended = tokio::time::timeout(PATIENCE, server.shutdown(Duration::from_secs(30)));
    ended.await.expect("streams end with the server");
    for stream in &mut open {
        while let Some(Ok(_)) = tokio::time::timeout(PATIENCE, stream.next())
            .await
            .expect("an end")
        {}
    }
    node.shutdown(Duration::from_secs(10)).await;
}

fn rand_name() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
