//! An agent of middling size: it finds a pattern in a text. Only measured, as a module of its size.

use caxton_sdk::*;
use regex_automata::nfa::thompson::pikevm::PikeVM;

#[agent]
fn start() {
    register_handler("find", find);
}

fn find(message: &FipaMessage) -> Result<(), String> {
    let field = |name: &str| message.content[name].as_str().unwrap_or_default();
    let (pattern, text) = (field("pattern"), field("text"));
    let pattern = PikeVM::new(pattern).map_err(|error| error.to_string())?;
    let mut cache = pattern.create_cache();
    let found = pattern.find_iter(&mut cache, text);
    let found: Vec<&str> = found.map(|found| &text[found.range()]).collect();
    send_inform_response(message, &found);
    Ok(())
}
