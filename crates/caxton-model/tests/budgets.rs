//! What one agent may register is bounded.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails here has failed"
)]

use caxton_model::{Capabilities, CapabilitiesError};

#[test]
fn an_agent_has_at_most_1_000_capabilities() {
    let json = |count: usize| {
        let services: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"name":"s-{n}"}}"#))
            .collect();
        format!(r#"{{"services":[{}]}}"#, services.join(","))
    };
    assert!(Capabilities::from_json(json(1_000).as_bytes()).is_ok());
    assert!(matches!(
        Capabilities::from_json(json(1_001).as_bytes()),
        Err(CapabilitiesError::TooMany { count: 1_001 })
    ));
}
