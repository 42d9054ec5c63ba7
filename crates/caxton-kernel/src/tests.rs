//! Scenarios: what is done, and the transcript of what it led to.

mod messages;
mod script;
