//! What the attribute macros' exports call. No interface of its own: it changes with the macros.
#![allow(
    missing_docs,
    reason = "hidden; each function stands behind the export of its name"
)]

use std::cell::RefCell;

use serde::{Serialize, de::DeserializeOwned};
pub use serde_json::Value;

use crate::{
    Agent, BytesResult, Extension, TextResult, console_error, content, send_failure, sys, timer,
    wire,
};

type Boxed = Box<dyn Agent>;

thread_local! {
    static AGENT: RefCell<Option<Boxed>> = const { RefCell::new(None) };
    static MAKE: RefCell<Option<fn() -> Boxed>> = const { RefCell::new(None) };
}

/// Calls the agent; makes and inits it first if there is none.
///
/// The host always inits first. A native test may begin with a message, and a restarted instance
/// with a timer.
fn with_agent<R>(call: impl FnOnce(&mut dyn Agent) -> R) -> Result<R, String> {
    let mut agent = match AGENT.take() {
        Some(agent) => agent,
        None => {
            let make = MAKE.with_borrow(|make| *make).ok_or("there is no agent")?;
            let mut agent = make();
            agent.init()?;
            agent
        }
    };
    let result = call(&mut *agent);
    AGENT.set(Some(agent));
    Ok(result)
}

fn or_log(result: Result<i32, String>) -> i32 {
    result.unwrap_or_else(|error| {
        console_error(&error);
        1
    })
}

fn is_made_by<A: Agent + Default + 'static>() {
    MAKE.set(Some(|| Box::new(A::default())));
}

pub fn agent_init<A: Agent + Default + 'static>() -> i32 {
    is_made_by::<A>();
    AGENT.set(None);
    or_log(with_agent(|_| 0))
}

pub fn handle_message<A: Agent + Default + 'static>(at: *const u8, length: usize) -> i32 {
    is_made_by::<A>();
    sys::with_input(at, length, deliver)
}

/// One message to the agent that there is.
pub(crate) fn deliver(json: &[u8]) -> i32 {
    let Some(message) = wire::read(json) else {
        // Without the parser's words: the sample logs the same in every language.
        console_error("Failed to parse message");
        return 1;
    };
    or_log(with_agent(|agent| {
        match content::wrong(&message, json.len()) {
            Some(wrong) => {
                send_failure(&message, wrong);
                1
            }
            None => agent.handle(&message),
        }
    }))
}

pub fn handle_timer<A: Agent + Default + 'static>(id: i32) -> i32 {
    is_made_by::<A>();
    fire(id)
}

/// A timer is due for the agent that there is.
pub(crate) fn fire(id: i32) -> i32 {
    or_log(with_agent(|agent| {
        timer::is_due(id).unwrap_or_else(|| agent.on_timer(id))
    }))
}

pub fn agent_shutdown<A: Agent + Default + 'static>() {
    is_made_by::<A>();
    or_log(with_agent(|agent| {
        agent.shutdown();
        0
    }));
    AGENT.set(None);
}

pub fn get_capabilities<A: Agent + Default + 'static>(at: *mut u8, room: usize) -> i32 {
    is_made_by::<A>();
    or_log(with_agent(|agent| {
        let json = agent
            .capabilities()
            .and_then(|all| serde_json::to_vec(&all).ok());
        json.map_or(-1, |json| sys::write_out(at, room, &json))
    }))
}

pub fn migrate<A: Agent + Default + 'static>(at: *const u8, length: usize) -> i32 {
    // Without `init`: it runs when the state is the new version's.
    let migrated = sys::with_input(at, length, |from| {
        A::default().migrate(&String::from_utf8_lossy(from))
    });
    or_log(migrated.map(|()| 0))
}

/// Drops the instance; the next call makes a new one.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn restart() {
    AGENT.set(None);
    crate::handlers::clear();
    timer::clear();
}

pub fn alloc(length: usize) -> *mut u8 {
    sys::alloc(length)
}

pub fn free(at: *mut u8, length: usize) {
    sys::free(at, length);
}

/// A C-string processor's call: null on failure, which is logged.
pub fn process_text<R: TextResult>(at: *const u8, process: impl FnOnce(&str) -> R) -> *mut u8 {
    let result = sys::with_c_string(at, |bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| "the input is not UTF-8".to_owned())?;
        let text = process(text).into_text()?;
        if text.as_bytes().contains(&0) {
            return Err("the result holds a NUL, which ends a C string".to_owned());
        }
        let mut bytes = text.into_bytes();
        bytes.push(0);
        Ok(sys::leak(&bytes))
    });
    out(result.unwrap_or_else(|| Err("no input".to_owned())))
}

/// A length-prefixed processor's call: null on failure, which is logged.
pub fn process_bytes<R: BytesResult>(
    at: *const u8,
    length: usize,
    out_length: *mut u32,
    process: impl FnOnce(&[u8]) -> R,
) -> *mut u8 {
    let result = sys::with_input(at, length, |bytes| process(bytes).into_bytes());
    out(result.map(|bytes| {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        sys::write_out(out_length.cast(), 4, &length.to_le_bytes());
        sys::leak(&bytes)
    }))
}

fn out(result: Result<*mut u8, String>) -> *mut u8 {
    result.unwrap_or_else(|error| {
        console_error(&error);
        std::ptr::null_mut()
    })
}

pub fn extension_describe<X: Extension + Default>(at: *mut u8, room: usize) -> i32 {
    match serde_json::to_vec(&X::default().describe()) {
        Ok(json) => sys::write_out(at, room, &json),
        Err(_) => -1,
    }
}

/// An action's call: the answer, or `{"error": …}` and a number that is not 0.
pub fn extension_call<X: Extension + Default>(at: *const u8, length: usize) -> i32 {
    let result = sys::with_input(at, length, |json| {
        let mut call: Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let input = call.get_mut("input").map(Value::take).unwrap_or_default();
        let action = call
            .get("action")
            .and_then(Value::as_str)
            .ok_or("`action` is missing")?;
        X::default().call(action, &input)
    });
    let (code, answer) = match result {
        Ok(answer) => (0, answer),
        Err(error) => (1, serde_json::json!({ "error": error })),
    };
    sys::respond(answer.to_string().as_bytes());
    code
}

/// An action that is a function with types of its own.
pub fn typed_action<I: DeserializeOwned, O: Serialize, E: std::fmt::Display>(
    input: &Value,
    action: impl FnOnce(I) -> Result<O, E>,
) -> Result<Value, String> {
    let input = serde_json::from_value(input.clone()).map_err(|e| format!("the input: {e}"))?;
    let output = action(input).map_err(|error| error.to_string())?;
    serde_json::to_value(output).map_err(|error| format!("the output: {error}"))
}
