//! Scenarios: what is done, and the transcript of what it led to.

mod agents_of_the_host;
mod awaited;
mod border;
mod durable;
mod host_bytes;
mod lifecycle;
mod linear;
mod messages;
mod nonsense;
mod performatives;
mod processors;
mod recovery;
mod rows;
mod script;
mod sending;
mod show;
mod spent_ids;
mod supervision;
mod timers;
mod world;
