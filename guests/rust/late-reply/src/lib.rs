//! Answers after a while: the asker's message waits as the context of a host timer, which is kept
//! in state, so the answer comes even if the node was killed meanwhile.

use std::time::Duration;

use caxton_sdk::*;
use serde_json::Value;

#[agent]
fn start() {
    register_handler("long_operation", long_operation);
    register_resume("finish", finish);
}

fn long_operation(message: &FipaMessage) -> Result<(), String> {
    let millis = message.content.get("delay_ms").and_then(Value::as_u64).unwrap_or(5_000);
    HostTimer::set(Duration::from_millis(millis), "finish", message)
        .map(drop)
        .map_err(|refusal| refusal.to_string())
}

fn finish(asked: FipaMessage) {
    send_inform_response(&asked, "done");
}

#[cfg(test)]
mod tests {
    use caxton_sdk::testing;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_comes_after_a_restart() {
        assert_eq!(agent_init(), 0);
        testing::deliver(&json!({"performative": "request", "sender": "t", "reply_with": "1",
            "content": {"action": "long_operation", "delay_ms": 10}}));
        testing::restart();
        assert_eq!(testing::advance(Duration::from_millis(9)), 0);
        assert!(testing::take_sent().is_empty());
        assert_eq!(testing::advance(Duration::from_millis(1)), 0);
        assert_eq!(testing::take_sent()[0].in_reply_to.as_deref(), Some("1"));
    }
}
