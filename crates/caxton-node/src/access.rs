//! An access on its way: from the turn that asks, over the kernel's record, to whoever performs it,
//! and back.
//!
//! The turn's future and the shard meet in the agent's memory, on the shard's own thread: the future
//! leaves what it asks for and waits; the shard finds it after the poll.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use caxton_gate::{Access, Allowed, Denied, Gate, Malformed};
use caxton_kernel::AccessAsked;
use caxton_model::HostCode;

use crate::{clock, memory::AgentMemory};

/// What came of an access, as it is recorded and given to the guest.
pub(crate) type Outcome = Arc<[u8]>;

/// Performs an access on the I/O side. The key is the one by which the other side recognises a
/// repetition; there is none where nothing is recorded.
pub(crate) type Perform =
    Box<dyn FnOnce(Option<String>) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send>;

/// Checks an access at a guest's gate.
///
/// Errors: what the guest is answered, and why.
pub(crate) fn check<A: Access>(
    gate: &Gate,
    access: Result<A, Malformed>,
) -> Result<Allowed<A>, (HostCode, Box<Denied>)> {
    let now = clock::wall();
    let (denied, code) = match access {
        Ok(access) => match gate.check(access, now) {
            Ok(allowed) => return Ok(allowed),
            Err(denied) => {
                let code = denied.code().host_code().unwrap_or(HostCode::Denied);
                (denied, code)
            }
        },
        Err(malformed) => (gate.refuse(&malformed, now), HostCode::Malformed),
    };
    Err((code, denied))
}

/// The access that a turn waits for.
pub(crate) struct InFlight {
    asked: Option<AccessAsked>,
    perform: Option<Perform>,
    outcome: Option<Outcome>,
}

fn lock(memory: &Mutex<AgentMemory>) -> MutexGuard<'_, AgentMemory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the kernel, and waits for what comes of it.
///
/// Cancel: the kernel forgets the access when it hears that the turn has ended.
pub(crate) fn ask(
    memory: Arc<Mutex<AgentMemory>>,
    asked: AccessAsked,
    perform: Perform,
) -> impl Future<Output = Outcome> + Send {
    // Whatever an earlier turn has left behind is replaced.
    lock(&memory).access = Some(Box::new(InFlight {
        asked: Some(asked),
        perform: Some(perform),
        outcome: None,
    }));
    poll_fn(move |_| {
        // The shard wakes the turn when it has the outcome.
        let mut memory = lock(&memory);
        let outcome = memory.access.as_mut().and_then(|a| a.outcome.take());
        outcome.map_or(Poll::Pending, |outcome| {
            memory.access = None;
            Poll::Ready(outcome)
        })
    })
}

/// What a turn has just asked for.
pub(crate) fn take_asked(memory: &Mutex<AgentMemory>) -> Option<AccessAsked> {
    lock(memory).access.as_mut()?.asked.take()
}

/// How to perform what a turn has asked for.
pub(crate) fn take_perform(memory: &Mutex<AgentMemory>) -> Option<Perform> {
    lock(memory).access.as_mut()?.perform.take()
}

/// Leaves a turn what its access came to.
pub(crate) fn resume(memory: &Mutex<AgentMemory>, outcome: Outcome) {
    if let Some(access) = &mut lock(memory).access {
        access.outcome = Some(outcome);
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}
