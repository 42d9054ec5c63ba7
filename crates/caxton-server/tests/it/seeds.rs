//! The two integration tests of the agent guide, against a real node.

use std::time::Duration;

use caxton_client::*;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{Harness, guest};

#[tokio::test(flavor = "multi_thread")]
async fn test_agent_deployment_and_communication() {
    for module in [
        "sample-agent-rust.wasm",
        "sample-agent-assemblyscript.wasm",
        "sample-agent-c.wasm",
        "sample-agent-go.wasm",
    ] {
        let harness = Harness::start().await;
        let client = harness.client();
        let deployment = client
            .deploy_agent(DeployAgentRequest {
                wasm_module: guest(module),
                config: AgentConfig {
                    name: "test_agent".to_string(),
                    resources: ResourceLimits::default(),
                    capabilities: vec!["data_processing".to_string()],
                    ..Default::default()
                },
            })
            .await
            .unwrap();

        let response = client
            .send_message_and_wait(
                FipaMessage {
                    performative: "request".to_string(),
                    sender: "integration_test".to_string(),
                    receiver: deployment.agent_id.clone(),
                    content: json!({
                        "action": "process_data",
                        "data": {
                            "operation": "uppercase",
                            "text": "hello world"
                        }
                    }),
                    reply_with: Some("test_001".to_string()),
                    ..Default::default()
                },
                Duration::from_secs(10),
            )
            .await
            .unwrap();

        assert_eq!(response.performative, "inform", "{module}: {response:?}");
        assert_eq!(
            response.content["result"]["result"].as_str().unwrap(),
            "HELLO WORLD",
            "{module}"
        );
        assert_eq!(response.in_reply_to.as_deref(), Some("test_001"));
        client.remove_agent(&deployment.agent_id).await.unwrap();
        harness.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn test_agent_resource_limits() {
    let harness = Harness::start().await;
    let client = harness.client();
    let deployment = client
        .deploy_agent(DeployAgentRequest {
            wasm_module: guest("memory-hungry-rust.wasm"),
            config: AgentConfig {
                name: "memory_test_agent".to_string(),
                resources: ResourceLimits {
                    max_memory_bytes: 1024 * 1024,
                    ..Default::default()
                },
                ..Default::default()
            },
        })
        .await
        .unwrap();

    let result = timeout(
        Duration::from_secs(5),
        client.send_message_and_wait(
            FipaMessage {
                performative: "request".to_string(),
                sender: "integration_test".to_string(),
                receiver: deployment.agent_id.clone(),
                content: json!({
                    "action": "allocate_large_buffer",
                    "size": 2 * 1024 * 1024
                }),
                reply_with: Some("memory_test_001".to_string()),
                ..Default::default()
            },
            Duration::from_secs(10),
        ),
    )
    .await;

    match result {
        Ok(Ok(response)) => {
            assert_eq!(response.performative, "failure");
            assert!(
                response.content["error"]
                    .as_str()
                    .unwrap()
                    .contains("memory")
            );
            assert_eq!(response.content["code"], "memory-limit");
        }
        other => panic!("Expected memory limit error, got {other:?}"),
    }
    let detail = client.agent("memory_test_agent").await.unwrap();
    let memory = detail
        .limits
        .iter()
        .find(|limit| limit.name == "memory")
        .unwrap();
    assert_eq!(memory.limit, Some(1024 * 1024));
    assert!(memory.last_breach.is_some(), "{memory:?}");
    assert_eq!(detail.last_fault.unwrap().code, "memory-limit");
    assert_eq!(
        client.agent_faults("memory_test_agent").await.unwrap()[0].code,
        "memory-limit"
    );

    client.remove_agent(&deployment.agent_id).await.unwrap();
    harness.stop().await;
}
