//! One shard's kernel.

use caxton_model::{State, Timestamp};

use crate::{Directory, Effect, Event};

/// What the kernel is told once.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Which shard this is.
    pub shard: u16,
    /// Whether there is a journal; without one every acknowledgement says `memory`.
    pub journal: bool,
    /// Seeds the seeds of turns.
    pub seed: u64,
}

/// One shard's agents, mailboxes, timers and supervision.
#[derive(Debug)]
pub struct Kernel {
    options: KernelOptions,
    directory: Directory,
    state: State,
}

impl Kernel {
    /// A kernel over what was recovered: `state` holds exactly this shard's part.
    #[must_use]
    pub fn new(options: KernelOptions, directory: Directory, state: State) -> Self {
        Self {
            options,
            directory,
            state,
        }
    }
    /// Applies one event. Same state, same `now`, same event: same effects.
    pub fn step(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        let _ = (now, event, effects, &self.options, &self.directory);
    }
    /// When [`Event::Tick`] is due next, if anything waits for time.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        None
    }
    /// What this shard knows.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }
}
