//! Bodies of the API: whatever type takes them writes them so that it takes them again, equal.

use caxton_api::{
    AgentConfig, DeployRequest, EventBody, MailEntry, NewSecret, NewToken, Page, Problem,
    SendOptions, SendResult, StopRequest,
};
use caxton_model::{JSON_DEPTH_MAX, json_depth_exceeds};
use serde::{Serialize, de::DeserializeOwned};

pub fn check(bytes: &[u8]) {
    // What the server refuses before it reads on.
    if json_depth_exceeds(bytes, JSON_DEPTH_MAX) {
        return;
    }
    if let Some(config) = there_and_back::<AgentConfig>(bytes) {
        check_config(&config);
    }
    if let Some(request) = there_and_back::<DeployRequest>(bytes) {
        check_config(&request.config);
    }
    there_and_back::<StopRequest>(bytes);
    there_and_back::<NewToken>(bytes);
    there_and_back::<NewSecret>(bytes);
    there_and_back::<SendOptions>(bytes);
    // What clients read.
    there_and_back::<SendResult>(bytes);
    there_and_back::<EventBody>(bytes);
    there_and_back::<Page<MailEntry>>(bytes);
    if let Some(problem) = there_and_back::<Problem>(bytes) {
        let known = problem.error_code();
        assert!(known.is_none_or(|code| code.as_str() == problem.code));
    }
}

fn check_config(config: &AgentConfig) {
    match config.asked_limits() {
        Ok(asked) => assert!(asked.0.len() <= config.limits.len() + config.resources.len()),
        Err(error) => assert!(
            !error.to_string().is_empty() && matches!(error.code().http_status(), 400 | 422)
        ),
    }
    if let Ok(grants) = config.asked_grants() {
        let asks = config.grants.contains_key("message:send");
        assert_eq!(grants.message_send.is_some(), asks);
    }
}

fn there_and_back<T>(bytes: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let value: T = serde_json::from_slice(bytes).ok()?;
    let json = serde_json::to_vec(&value).expect("it is JSON");
    match serde_json::from_slice::<T>(&json) {
        Ok(again) => assert_eq!(again, value),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&json)),
    }
    Some(value)
}
