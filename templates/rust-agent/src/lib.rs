//! Greets whoever asks, and counts the greetings in state that outlives the agent.

use caxton_sdk::*;
use serde_json::json;

/// How many were greeted.
const GREETED: State<u64> = State::new("greeted");

#[agent]
fn start() {
    register_handler("greet", greet);
}

fn greet(message: &FipaMessage) -> Result<(), String> {
    let name = message.content["name"].as_str().ok_or("`name` is missing")?;
    let count = GREETED
        .update(|count| {
            *count += 1;
            *count
        })
        .map_err(|refusal| refusal.to_string())?;
    send_inform_response(message, &json!({ "greeting": format!("Hello {name}"), "count": count }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(content: serde_json::Value) -> (i32, FipaMessage) {
        let code = testing::deliver(&json!({
            "performative": "request", "sender": "you", "reply_with": "1", "content": content,
        }));
        (code, testing::take_sent().remove(0))
    }

    #[test]
    fn it_greets_and_counts_over_a_restart() {
        assert_eq!(agent_init(), 0);
        let (code, reply) = ask(json!({"action": "greet", "name": "Ada"}));
        assert_eq!((code, reply.in_reply_to.as_deref()), (0, Some("1")));
        assert_eq!(reply.content["result"]["greeting"], "Hello Ada");
        testing::restart();
        let (_, reply) = ask(json!({"action": "greet", "name": "Bob"}));
        assert_eq!(reply.content["result"]["count"], 2);
    }

    #[test]
    fn it_says_what_is_missing() {
        assert_eq!(agent_init(), 0);
        let (code, reply) = ask(json!({"action": "greet"}));
        assert_eq!((code, reply.performative.as_str()), (1, "failure"));
        let (code, reply) = ask(json!({"action": "dance"}));
        assert_eq!((code, reply.performative.as_str()), (1, "not-understood"));
    }
}
