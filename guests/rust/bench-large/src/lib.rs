//! An agent of large size: it finds a pattern in a text. Only measured, as a module of its size.

use caxton_sdk::*;
use regex::Regex;

#[agent]
fn start() {
    register_handler("find", find);
}

fn find(message: &FipaMessage) -> Result<(), String> {
    let text = |name: &str| message.content[name].as_str().unwrap_or_default();
    let pattern = Regex::new(text("pattern")).map_err(|error| error.to_string())?;
    let found: Vec<&str> = pattern.find_iter(text("text")).map(|found| found.as_str()).collect();
    send_inform_response(message, &found);
    Ok(())
}
