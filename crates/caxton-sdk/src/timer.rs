//! Waiting longer than a turn: a future while the instance lives, a continuation when it does not.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json, to_value};

use crate::{Refusal, console_error, delete, handlers, load, refusal::answer, store, sys};

/// A timer of the host.
///
/// It carries the name of a continuation and a context, both kept in the agent's state. When it is
/// due, a task of this instance that awaits it goes on. If there is none (nobody awaited it, or the
/// instance was replaced meanwhile), the continuation registered under the name is called with the
/// context. Dropping it leaves the timer set.
///
/// ```
/// use caxton_sdk::*;
/// use std::time::Duration;
///
/// fn long_operation(message: &FipaMessage) -> Result<(), Refusal> {
///     HostTimer::set(Duration::from_secs(5), "finish", message).map(drop)
/// }
/// fn finish(message: FipaMessage) {
///     send_inform_response(&message, "done");
/// }
/// register_handler("long_operation", long_operation);
/// register_resume("finish", finish);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct HostTimer {
    id: i32,
}

#[derive(Default)]
struct Running {
    tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>,
    awaited: Vec<i32>,
    due: Vec<i32>,
}

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::default();
}

/// Takes an id out of a list, each time it stands there; whether it did.
fn take(ids: &mut Vec<i32>, id: i32) -> bool {
    let before = ids.len();
    ids.retain(|known| *known != id);
    ids.len() < before
}

fn key(id: i32) -> String {
    format!("caxton.timer.{id}")
}

impl HostTimer {
    /// Sets a timer that goes on with the continuation `resume` and its context.
    ///
    /// Errors: [`caxton_model::HostCode::QuotaReached`] for too many timers; the state's.
    pub fn set(
        delay: Duration,
        resume: &str,
        context: &(impl Serialize + ?Sized),
    ) -> Result<Self, Refusal> {
        let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        let id = answer("set_timer", sys::set_timer(micros))?;
        let kept = to_value(context)
            .map_err(|error| Refusal::json(&error))
            .and_then(|context| store(&key(id), &json!({ "resume": resume, "context": context })));
        match kept {
            Ok(()) => Ok(Self { id }),
            Err(refusal) => {
                sys::cancel_timer(id);
                Err(refusal)
            }
        }
    }

    /// The host's number for it.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Takes it back. Errors: it was due already.
    pub fn cancel(self) -> Result<(), Refusal> {
        delete(&key(self.id))?;
        answer("cancel_timer", sys::cancel_timer(self.id)).map(drop)
    }
}

impl Future for HostTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        RUNNING.with_borrow_mut(|running| {
            if take(&mut running.due, self.id) {
                return Poll::Ready(());
            }
            running.awaited.push(self.id);
            Poll::Pending
        })
    }
}

impl Drop for HostTimer {
    fn drop(&mut self) {
        RUNNING.with_borrow_mut(|running| take(&mut running.awaited, self.id));
    }
}

/// Runs a task until it waits for a [`HostTimer`]; it goes on in that timer's turn.
///
/// The task lives as long as this instance. What must go on after a restart needs the timer's
/// continuation.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    RUNNING.with_borrow_mut(|running| running.tasks.push(Box::pin(task)));
    run_tasks();
}

fn run_tasks() {
    let tasks = RUNNING.with_borrow_mut(|running| std::mem::take(&mut running.tasks));
    let mut context = Context::from_waker(Waker::noop());
    for mut task in tasks {
        if task.as_mut().poll(&mut context).is_pending() {
            RUNNING.with_borrow_mut(|running| running.tasks.push(task));
        }
    }
}

/// A timer is due; `None` if it is none of ours.
pub(crate) fn is_due(id: i32) -> Option<i32> {
    let mut kept: Value = match load(&key(id)) {
        Ok(kept) => kept?,
        Err(refusal) => {
            console_error(&format!("timer {id}: its context: {refusal}"));
            return Some(1);
        }
    };
    if let Err(refusal) = delete(&key(id)) {
        console_error(&format!("timer {id}: its context stays: {refusal}"));
    }
    let is_awaited = RUNNING.with_borrow_mut(|running| {
        let is_awaited = take(&mut running.awaited, id);
        if is_awaited {
            running.due.push(id);
        }
        is_awaited
    });
    if is_awaited {
        run_tasks();
        return Some(0);
    }
    let context = kept.get_mut("context").map(Value::take).unwrap_or_default();
    let name = kept
        .get("resume")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(handlers::resume(name, context).unwrap_or_else(|| {
        console_error(&format!(
            "timer {id}: no continuation `{name}` is registered"
        ));
        1
    }))
}

/// Forgets all tasks: a new instance begins.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn clear() {
    // Outside the borrow: a task that is dropped drops its timers.
    let running = RUNNING.take();
    drop(running);
}
