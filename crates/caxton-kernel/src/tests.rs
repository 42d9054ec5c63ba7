//! Scenarios: what is done, and the transcript of what it led to.

mod agents_of_the_host;
mod lifecycle;
mod messages;
mod performatives;
mod recovery;
mod script;
mod sending;
mod simulated;
mod spent_ids;
mod supervision;
mod timers;
