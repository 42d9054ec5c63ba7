//! Lines for the agent's log, and numbers for its metrics.

use serde::Serialize;

use crate::{Refusal, refusal::answer, sys};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Steps of the work.
    Trace = 0,
    /// For whoever looks for a fault.
    Debug = 1,
    /// What happens in the course of things.
    Info = 2,
    /// Strange, but the work goes on.
    Warn = 3,
    /// Something was not done.
    Error = 4,
}

/// What a metric's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A sum: the value is added.
    Counter = 0,
    /// A state: the value replaces the last.
    Gauge = 1,
    /// A distribution: the value is one of many.
    Histogram = 2,
}

/// A line for the log. Rate-limited by the host, which says how many it dropped.
pub fn console_log(line: &str) {
    sys::log(line.as_bytes());
}

/// A line for the log, as an error.
pub fn console_error(line: &str) {
    sys::error(line.as_bytes());
}

/// Logs an error.
pub fn log_error(line: &str) {
    console_error(&format!("[ERROR] {line}"));
}

/// Logs a warning.
pub fn log_warn(line: &str) {
    console_log(&format!("[WARN] {line}"));
}

/// Logs an event.
pub fn log_info(line: &str) {
    console_log(&format!("[INFO] {line}"));
}

/// Logs a detail.
pub fn log_debug(line: &str) {
    console_log(&format!("[DEBUG] {line}"));
}

/// Logs a step.
pub fn log_trace(line: &str) {
    console_log(&format!("[TRACE] {line}"));
}

/// A structured line: any JSON.
///
/// Errors: the fields cannot be written as JSON.
pub fn log_record(level: LogLevel, fields: &impl Serialize) -> Result<(), Refusal> {
    let json = serde_json::to_vec(fields).map_err(|error| Refusal::json(&error))?;
    sys::log_record(level as i32, &json);
    Ok(())
}

/// One value of a metric; the host shows it as `caxton_guest_NAME`.
///
/// Errors: more than 100 names, or a name or value that is none.
pub fn metric(kind: MetricKind, name: &str, value: f64) -> Result<(), Refusal> {
    answer("metric", sys::metric(kind as i32, name.as_bytes(), value)).map(drop)
}
