//! The sample agent: processes texts and counts what it did, in state that outlives it.

use caxton_sdk::*;
use serde::Serialize;
use serde_json::{Value, json};

/// How many requests were processed.
const HANDLED: State<u64> = State::new("handled");

#[agent]
#[derive(Default)]
struct Sample;

#[derive(Serialize)]
struct ProcessResponse {
    result: String,
    timestamp: u64,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    handled: u64,
}

impl Agent for Sample {
    fn init(&mut self) -> Result<(), String> {
        console_log("Agent initializing...");
        register_handler("process_data", process_data);
        register_handler("get_status", get_status);
        Ok(())
    }

    fn shutdown(&mut self) {
        console_log("Agent shutting down...");
    }

    fn capabilities(&self) -> Option<Capabilities> {
        Some(Capabilities {
            version: "1.0.0".to_owned(),
            protocols: vec!["fipa-request".to_owned()],
            resource_requirements: ResourceRequirements {
                min_memory_mb: 1,
                preferred_memory_mb: 2,
                persistence_needed: true,
                ..ResourceRequirements::default()
            },
            services: vec![ServiceDescription {
                name: "data_processing".to_owned(),
                description: "Makes a text upper case, lower case or reversed".to_owned(),
                input_schema: (&json!({"type": "object", "required": ["action"]})).into(),
                output_schema: (&json!({"type": "object", "required": ["result"]})).into(),
                estimated_latency_ms: 1,
                ..ServiceDescription::default()
            }],
            ..Capabilities::default()
        })
    }
}

/// Takes `{"data": {"operation", "text"}}` and `{"data": TEXT, "operation"}`.
fn process_data(message: &FipaMessage) -> Result<(), String> {
    let content = &message.content;
    let data = &content["data"];
    let (text, operation) = match data {
        Value::Object(inner) => {
            (inner.get("text").or_else(|| inner.get("data")), inner.get("operation"))
        }
        _ => (Some(data), content.get("operation")),
    };
    let text = text.and_then(Value::as_str).ok_or("Invalid request format")?;
    let operation = operation.and_then(Value::as_str).ok_or("Invalid request format")?;
    HANDLED.update(|handled| *handled += 1).map_err(|refusal| refusal.to_string())?;
    let result = apply(operation, text);
    send_inform_response(message, &ProcessResponse { result, timestamp: current_timestamp() });
    Ok(())
}

/// The letters A to Z only, so that every language's sample answers the same.
fn apply(operation: &str, text: &str) -> String {
    match operation {
        "uppercase" => text.to_ascii_uppercase(),
        "lowercase" => text.to_ascii_lowercase(),
        "reverse" => text.chars().rev().collect(),
        _ => format!("Unknown operation: {operation}"),
    }
}

fn get_status(message: &FipaMessage) -> Result<(), String> {
    let handled = HANDLED.get().map_err(|refusal| refusal.to_string())?;
    send_inform_response(message, &Status { status: "ok", handled });
    Ok(())
}

#[cfg(test)]
mod tests {
    use caxton_sdk::testing;

    use super::*;

    fn call(message: &Value) -> i32 {
        let bytes = serde_json::to_vec(message).unwrap();
        handle_message(bytes.as_ptr(), bytes.len())
    }

    #[test]
    fn test_message_processing() {
        let code = call(&json!({
            "performative": "request",
            "sender": "test_client",
            "receiver": "test_agent",
            "content": {
                "action": "process_data",
                "data": { "operation": "uppercase", "text": "hello world" }
            },
            "reply_with": "test_001"
        }));
        assert_eq!(code, 0);
        let sent = testing::take_sent();
        assert_eq!(sent[0].content["result"]["result"], "HELLO WORLD");
        assert_eq!(sent[0].in_reply_to.as_deref(), Some("test_001"));
    }

    #[test]
    fn test_invalid_message_format() {
        let invalid = b"invalid json";
        assert_ne!(handle_message(invalid.as_ptr(), invalid.len()), 0);
    }

    #[test]
    fn test_resource_limits() {
        let code = call(&json!({
            "performative": "request",
            "sender": "test_client",
            "receiver": "test_agent",
            "content": { "action": "process_data", "data": "x".repeat(1024 * 1024 * 2) }
        }));
        assert_ne!(code, 0);
        assert_eq!(testing::take_sent()[0].content["error"], "Data too large");
    }

    #[test]
    fn the_count_outlives_the_instance() {
        let status = json!({"performative": "request", "sender": "t", "content": {"action": "get_status"}});
        let work = json!({"performative": "request", "sender": "t",
            "content": {"action": "process_data", "data": "abc", "operation": "reverse"}});
        assert_eq!((call(&work), call(&work)), (0, 0));
        testing::restart();
        assert_eq!(call(&status), 0);
        let sent = testing::take_sent();
        assert_eq!(sent[1].content["result"]["result"], "cba");
        assert_eq!(sent[2].content, json!({"result": {"status": "ok", "handled": 2}}));
    }
}
