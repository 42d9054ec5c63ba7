//! What a shard knows of an agent only while the process lives: its instance, its running turn,
//! what the operator wants of it, its pauses.

use std::{collections::VecDeque, sync::Arc};

use caxton_model::{
    AgentSpec, AgentStatus, InputRef, LimitName, Micros, Pending, StartReason, Timestamp,
};

use crate::{Gauge, Ticket, breaker::Breakers, bucket::Bucket};

/// A turn that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) turn: u64,
    pub(crate) input: InputRef,
    /// The seed of its random numbers.
    pub(crate) seed: u64,
    /// The message, where the input is one.
    pub(crate) mail: Option<Pending>,
}

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdatePhase {
    /// The new version's init is to run, or runs.
    Init,
    /// Its init was good; `migrate` is to run, or runs.
    Migrate,
}

/// An update on its way.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) ticket: Ticket,
    pub(crate) spec: Arc<AgentSpec>,
    pub(crate) rollback: bool,
    pub(crate) phase: UpdatePhase,
}

/// What the operator wants of an agent, while it is on its way.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To stop.
    Stop { tickets: Vec<Ticket>, drain: bool },
    /// To run again.
    Start { ticket: Ticket },
    /// To run another version.
    Update(Box<Update>),
}

/// One agent's volatile side.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) gauge: Arc<Gauge>,
    /// The status everybody sees; `starting` and `passivated` are not recorded.
    pub(crate) shown: AgentStatus,
    pub(crate) instance: bool,
    pub(crate) running: Option<Running>,
    pub(crate) wish: Option<Wish>,
    /// Why the next instance is made.
    pub(crate) start_reason: StartReason,
    /// Whether the next instance is made without waiting for an input.
    pub(crate) must_init: bool,
    /// Whether the instance is dropped when the running turn ends.
    pub(crate) drop_after: bool,
    pub(crate) paused_until: Option<Timestamp>,
    /// The next pause.
    pub(crate) backoff: Micros,
    pub(crate) failures: VecDeque<Timestamp>,
    pub(crate) bucket: Bucket,
    /// When the earliest timer falls due.
    pub(crate) timer_due: Option<Timestamp>,
    /// Whether the last input was a timer: mail has its turn next.
    pub(crate) timer_last: bool,
    pub(crate) idle_since: Timestamp,
    pub(crate) breakers: Breakers,
    /// Elements that the host looked at on the agent's behalf and no turn has paid for, by its time
    /// and by its rate.
    pub(crate) unpaid: Unpaid,
}

/// What the host's own agents did for an agent, outside its turns.
#[derive(Debug, Default)]
pub(crate) struct Unpaid {
    pub(crate) time: u64,
    pub(crate) rate: u64,
}

impl Live {
    pub(crate) fn new(spec: &AgentSpec, status: AgentStatus, now: Timestamp) -> Self {
        Self {
            gauge: Arc::default(),
            shown: status,
            instance: false,
            running: None,
            wish: None,
            start_reason: StartReason::NodeStart,
            must_init: false,
            drop_after: false,
            paused_until: None,
            backoff: spec.supervision.backoff_micros,
            failures: VecDeque::new(),
            bucket: Bucket::full(spec.limits.get(LimitName::MessagesPerSecond), now),
            timer_due: None,
            timer_last: false,
            idle_since: now,
            breakers: Breakers::default(),
            unpaid: Unpaid::default(),
        }
    }
}
