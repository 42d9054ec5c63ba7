//! Who handles what: by action, by performative, by the name of a timer's continuation.

use std::{borrow::Borrow, cell::RefCell, rc::Rc};

use caxton_model::{FipaMessage, Performative};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Outcome, console_error, console_log, send_failure, send_not_understood, wire};

type MessageHandler = Rc<dyn Fn(&FipaMessage) -> i32>;
type Resume = Rc<dyn Fn(Value) -> i32>;

#[derive(Default)]
struct Registered {
    actions: Vec<(String, MessageHandler)>,
    performatives: Vec<(Performative, MessageHandler)>,
    resumes: Vec<(String, Resume)>,
}

thread_local! {
    static REGISTERED: RefCell<Registered> = RefCell::default();
}

/// Handles requests whose content has `"action": action`. The last registered counts.
///
/// A request for an action that nobody registered is answered `not-understood`.
pub fn register_handler<R: Outcome>(action: &str, handler: impl Fn(&FipaMessage) -> R + 'static) {
    let handler = message_handler(handler);
    REGISTERED.with_borrow_mut(|all| all.actions.push((action.to_owned(), handler)));
}

/// Handles messages of a performative other than `request`. The last registered counts.
pub fn register_performative<R: Outcome>(
    performative: Performative,
    handler: impl Fn(&FipaMessage) -> R + 'static,
) {
    let handler = message_handler(handler);
    REGISTERED.with_borrow_mut(|all| all.performatives.push((performative, handler)));
}

/// What a [`crate::HostTimer`] of this name goes on with, in an instance that no longer waits for it.
pub fn register_resume<C: DeserializeOwned, R: Outcome>(
    name: &str,
    handler: impl Fn(C) -> R + 'static,
) {
    let resume: Resume = Rc::new(move |context| match serde_json::from_value(context) {
        Ok(context) => handler(context).finish(&mut |error| console_error(error)),
        Err(error) => {
            console_error(&format!("a timer's context cannot be read: {error}"));
            1
        }
    });
    REGISTERED.with_borrow_mut(|all| all.resumes.push((name.to_owned(), resume)));
}

fn message_handler<R: Outcome>(handler: impl Fn(&FipaMessage) -> R + 'static) -> MessageHandler {
    Rc::new(move |message| handler(message).finish(&mut |error| send_failure(message, error)))
}

/// The last that was registered under a key. Few are, and a walk is small code.
fn last<K: Borrow<Q>, Q: PartialEq + ?Sized, V: Clone>(all: &[(K, V)], key: &Q) -> Option<V> {
    all.iter()
        .rev()
        .find(|(known, _)| known.borrow() == key)
        .map(|(_, value)| value.clone())
}

/// Gives a message to its handler; answers the handler's number for the host.
///
/// Without one: an `inform`, `failure` or `not-understood` is logged; anything else is answered
/// `not-understood` and counts as an error.
#[must_use]
pub fn dispatch(message: &FipaMessage) -> i32 {
    let performative = wire::performative(message);
    let handler = REGISTERED.with_borrow(|all| {
        let action = || message.content.get("action").and_then(Value::as_str);
        match performative? {
            Performative::Request => last(&all.actions, action()?),
            _ => None,
        }
        .or_else(|| last(&all.performatives, &performative?))
    });
    match (handler, performative) {
        (Some(handler), _) => handler(message),
        (
            None,
            Some(p @ (Performative::Inform | Performative::Failure | Performative::NotUnderstood)),
        ) => {
            console_log(&format!("Received {}", p.as_str()));
            0
        }
        (None, _) => {
            send_not_understood(message);
            1
        }
    }
}

/// Goes on with a timer's continuation; nothing if no such name is registered.
pub(crate) fn resume(name: &str, context: Value) -> Option<i32> {
    let resume = REGISTERED.with_borrow(|all| last(&all.resumes, name))?;
    Some(resume(context))
}

/// Forgets all: a new instance begins.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn clear() {
    REGISTERED.take();
}
