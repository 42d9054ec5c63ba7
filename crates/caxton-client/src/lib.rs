//! The client of a Caxton node: everything its HTTP API has, as methods of [`CaxtonClient`].
//!
//! ```no_run
//! use caxton_client::{AgentConfig, CaxtonClient, DeployAgentRequest, FipaMessage};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = CaxtonClient::new("http://127.0.0.1:8080").await?;
//! let deployment = client
//!     .deploy_agent(DeployAgentRequest {
//!         wasm_module: std::fs::read("agent.wasm")?,
//!         config: AgentConfig { name: "greeter".to_string(), ..Default::default() },
//!     })
//!     .await?;
//! let reply = client
//!     .send_message_and_wait(
//!         FipaMessage {
//!             performative: "request".to_string(),
//!             sender: "me".to_string(),
//!             receiver: deployment.agent_id.clone(),
//!             ..Default::default()
//!         },
//!         std::time::Duration::from_secs(10),
//!     )
//!     .await?;
//! println!("{}", reply.content);
//! # Ok(()) }
//! ```

mod agents;
mod audit;
mod client;
mod credentials;
mod deploy;
mod error;
mod messages;
mod node;
mod processors;
mod socket;
mod sse;
mod streams;

pub use agents::AgentFilter;
pub use audit::AuditFilter;
pub use client::CaxtonClient;
pub use deploy::{AgentConfig, DeployAgentRequest, Deployment, ResourceLimits};
pub use error::ClientError;
pub use messages::{MailFilter, new_message_id};
pub use processors::{Call, CallOutput};
pub use streams::{EventFilter, EventStream, LogEvent, LogStream, StreamedEvent};

pub use caxton_api as api;
pub use caxton_model::{Durability, EngineProfile, FipaMessage, Supervision};
