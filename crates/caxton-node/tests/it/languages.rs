//! The sample agent in four languages: one script, byte-equal answers; and the seeds' memory test.

use caxton_model::{AskedLimits, LimitName, Performative};
use caxton_node::{Deploy, Node};

use crate::{agent, ask, node, node_at};

const LANGUAGES: [&str; 4] = ["rust", "assemblyscript", "c", "go"];

pub(crate) fn prebuilt(guest: &str, name: &str) -> Deploy {
    let path = format!(
        "{}/../../guests/prebuilt/{guest}.wasm",
        env!("CARGO_MANIFEST_DIR")
    );
    let empty = agent(name, "(module)");
    Deploy {
        module: std::fs::read(path).unwrap(),
        ..empty
    }
}

const SCRIPT: &[&str] = &[
    r#"{"action":"process_data","data":{"operation":"uppercase","text":"hello world"}}"#,
    r#"{"action":"process_data","data":{"operation":"lowercase","data":"Hello World"}}"#,
    r#"{"action":"process_data","data":"hello","operation":"reverse"}"#,
    r#"{"action":"process_data","data":{"operation":"shout","text":"x"}}"#,
    r#"{"action":"process_data","data":{"operation":"uppercase","text":"quote \" back \\ line\n tab\t é 日本 \u0001"}}"#,
    r#"{"action":"process_data"}"#,
    r#"{"action":"process_data","data":{"operation":5}}"#,
    r#"{"action":"get_status"}"#,
    r#"{"action":"dance"}"#,
    r#"{"no":"action"}"#,
    r#""just a text""#,
    "[1,2]",
    "null",
];

/// Digits after `"timestamp":` differ from run to run; all else must not.
fn without_time(json: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = json;
    while let Some(at) = rest.find("\"timestamp\":") {
        let (before, after) = rest.split_at(at + "\"timestamp\":".len());
        out.push_str(before);
        out.push('T');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    out.replace(name, "AGENT")
}

async fn transcript(node: &Node, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for content in SCRIPT {
        let reply = ask(node, name, content).await.unwrap().reply;
        let reply = reply.map_or_else(|| "no reply".to_owned(), |r| r.message.json().to_owned());
        let conversation = reply.find("\"conversation_id\":\"r-").map(|at| at + 19);
        let reply = match conversation {
            Some(at) => {
                let end = reply[at..].find('"').unwrap() + at;
                format!("{}C{}", &reply[..at], &reply[end..])
            }
            None => reply,
        };
        lines.push(without_time(&reply, name));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn four_languages_answer_alike_byte_for_byte() {
    let node = node().await;
    let mut first: Option<Vec<String>> = None;
    for language in LANGUAGES {
        let name = format!("sample-{language}");
        node.deploy(prebuilt(&format!("sample-agent-{language}"), &name))
            .await
            .unwrap();
        let lines = transcript(&node, &name).await;
        assert!(
            lines[0].contains(r#""result":"HELLO WORLD""#),
            "{language}: {}",
            lines[0]
        );
        assert!(
            lines.iter().all(|line| line != "no reply"),
            "{language}: {lines:#?}"
        );
        match &first {
            None => first = Some(lines),
            Some(first) => assert_eq!(&lines, first, "{language} differs"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_counted_survives_a_restart_in_every_language() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let node = node_at(dir.path()).await;
        for language in LANGUAGES {
            let name = format!("sample-{language}");
            if round == 1 {
                node.deploy(prebuilt(&format!("sample-agent-{language}"), &name))
                    .await
                    .unwrap();
            }
            ask(&node, &name, SCRIPT[0]).await.unwrap();
            let status = ask(&node, &name, r#"{"action":"get_status"}"#)
                .await
                .unwrap();
            let content = status.reply.unwrap().message.content.value();
            assert_eq!(content["result"]["handled"], round, "{language}: {content}");
        }
        node.shutdown(std::time::Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mib_under_a_limit_of_one_is_a_failure_about_memory() {
    let node = node().await;
    let mut hungry = prebuilt("memory-hungry-rust", "memory_test_agent");
    hungry.limits = AskedLimits([(LimitName::Memory, 1 << 20)].into_iter().collect());
    node.deploy(hungry).await.unwrap();
    let asked = r#"{"action":"allocate_large_buffer","size":2097152}"#;
    let reply = ask(&node, "memory_test_agent", asked)
        .await
        .unwrap()
        .reply
        .unwrap()
        .message;
    assert_eq!(reply.performative, Performative::Failure);
    let said = reply.content.value();
    assert!(said["error"].as_str().unwrap().contains("memory"), "{said}");
    assert_eq!(said["code"], "memory-limit");
}
