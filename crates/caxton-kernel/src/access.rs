//! Accesses inside a turn that cannot be taken back: asked for, made durable, performed, answered.
//!
//! `AccessAsked → Record::Intent → Effect::Perform → AccessEnded → Record::Outcome → Effect::Resume`.
//! A turn that a crash interrupted runs again with the seed and the readings of the clock that its
//! intents recorded. Where it asks the same as before it is given the recorded outcome; an intent
//! without one is performed again under the same idempotency key.

use std::sync::Arc;

use caxton_model::{
    ACCESSES_OF_TURN_MAX, AgentId, Digest, ErrorCode, Fault, InputRef, Intent,
    OUTCOME_BYTES_OF_TURN_MAX, Pending, Record, RecordedAccess, Timestamp, TurnAccesses,
    planted::{Planted, is_planted},
};

use crate::{Effect, Kernel, TurnCtx, TurnInput};

/// An access that a guest asks for in a turn whose accesses are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAsked {
    /// Whose turn asks.
    pub agent: AgentId,
    /// The number of the turn, as in [`crate::RunTurn`].
    pub turn: u64,
    /// The number of the access within the turn, from 0.
    pub number: u32,
    /// The digest of the whole request.
    pub digest: Digest,
    /// What people may see of it: never a secret, never a body.
    pub shown: Arc<str>,
    /// The readings of the clock since the turn's last access, in order.
    pub clock_reads: Vec<Timestamp>,
}

/// What a turn's next access comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextAccess {
    /// It was performed before a crash, and this came of it.
    Known(Arc<[u8]>),
    /// The kernel is to be asked, by [`crate::Event::AccessAsked`].
    Ask(AccessAsked),
    /// It is performed at once: nothing of this turn survives a crash, or the turn has no input that
    /// is given to it again.
    Perform,
}

/// The side of a turn that knows what was recorded of it before a crash.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Accesses that the turn made when it ran before.
    recorded: Vec<RecordedAccess>,
    /// Readings of the clock that it made then.
    clock_reads: std::vec::IntoIter<Timestamp>,
    /// Accesses that the turn has asked for.
    asked: usize,
    /// Bytes of the outcomes that it was given.
    outcome_bytes: usize,
    /// Readings that no intent has recorded, from this one on.
    read: usize,
}

impl Replay {
    pub(crate) fn of(recorded: Option<&TurnAccesses>) -> Self {
        let Some(recorded) = recorded else {
            return Self::default();
        };
        Self {
            recorded: recorded.accesses.clone(),
            read: recorded.clock_reads.len(),
            clock_reads: recorded.clock_reads.clone().into_iter(),
            ..Self::default()
        }
    }
    /// The reading that the turn made here when it ran before.
    pub(crate) fn clock_read(&mut self) -> Option<Timestamp> {
        self.clock_reads.next()
    }
}

impl TurnCtx {
    /// Asks for something that cannot be taken back.
    ///
    /// Errors: the turn runs again after a crash and asks for something else than before, or it has
    /// asked for more than [`ACCESSES_OF_TURN_MAX`] or was given more than
    /// [`OUTCOME_BYTES_OF_TURN_MAX`]: the turn ends with this fault.
    pub fn next_access(&mut self, digest: Digest, shown: &str) -> Result<NextAccess, Fault> {
        let number = self.replay.asked;
        if number >= ACCESSES_OF_TURN_MAX {
            let text = format!(
                "the turn made {number} accesses, and no turn may make more; split the work over several turns with a timer"
            );
            return Err(Fault::new(ErrorCode::HostCallLimit, text));
        }
        if self.replay.outcome_bytes > OUTCOME_BYTES_OF_TURN_MAX {
            let text = format!(
                "the turn was given {} bytes by its accesses, and no turn is given more than {OUTCOME_BYTES_OF_TURN_MAX}; split the work over several turns with a timer",
                self.replay.outcome_bytes
            );
            return Err(Fault::new(ErrorCode::PayloadTooLarge, text));
        }
        self.replay.asked += 1;
        if !self.records_accesses {
            return Ok(NextAccess::Perform);
        }
        let before = self.replay.recorded.get(number);
        if let Some(before) = before.filter(|before| before.digest != digest) {
            let text = format!(
                "the node was stopped in this turn after the guest had asked for `{}`; the turn ran again and asked for `{shown}` instead, so what was done the first time cannot be given to it",
                before.shown
            );
            return Err(Fault::new(ErrorCode::Interrupted, text));
        }
        if let Some(outcome) = before.and_then(|before| before.outcome.clone()) {
            self.access_ended(&outcome);
            return Ok(NextAccess::Known(outcome));
        }
        let clock_reads = self.clock_reads_from(self.replay.read).to_vec();
        self.replay.read += clock_reads.len();
        Ok(NextAccess::Ask(AccessAsked {
            agent: self.spec.id,
            turn: self.turn,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            digest,
            shown: shown.into(),
            clock_reads,
        }))
    }
    /// Notes what the guest is given for its last access.
    pub fn access_ended(&mut self, outcome: &[u8]) {
        self.replay.outcome_bytes = self.replay.outcome_bytes.saturating_add(outcome.len());
    }
}

impl Kernel {
    /// Records what a turn asks for, and has it performed once that is durable.
    pub(crate) fn access_asked(&mut self, asked: AccessAsked) {
        let (agent, number) = (asked.agent, asked.number);
        let Some((input, seed)) = self.asking(agent, asked.turn) else {
            return;
        };
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let recorded = self.state.accesses.get(&agent);
        let recorded = recorded.filter(|recorded| recorded.input == input);
        let known = recorded.map_or(0, |recorded| recorded.accesses.len());
        if index == known {
            let intent = Intent {
                agent,
                turn: asked.turn,
                input,
                seed,
                clock_reads: asked.clock_reads,
                number,
                digest: asked.digest,
                shown: asked.shown,
            };
            self.commit(Record::Intent(Box::new(intent)), true);
        }
        self.perform(agent, asked.turn, number);
        if is_planted(Planted::PerformEarly) {
            self.effects.rotate_right(1);
        }
    }

    fn perform(&mut self, agent: AgentId, turn: u64, number: u32) {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let index = match is_planted(Planted::SameAccessKey) {
            true => 0,
            false => index,
        };
        let recorded = self.state.accesses.get(&agent);
        let key = recorded.map(|recorded| recorded.idempotency_key(agent, index));
        self.effects.push(Effect::Perform {
            agent,
            turn,
            number,
            key: key.unwrap_or_default(),
        });
    }

    /// The input and the seed of the turn that runs, if it is this one.
    fn asking(&self, agent: AgentId, turn: u64) -> Option<(InputRef, u64)> {
        let running = self.live.get(&agent)?.running.as_ref()?;
        (running.turn == turn).then(|| (running.input.clone(), running.seed))
    }

    /// Records what an access came to, and lets its turn go on. A turn that has ended meanwhile needs
    /// nothing.
    pub(crate) fn access_ended(
        &mut self,
        agent: AgentId,
        turn: u64,
        number: u32,
        outcome: Arc<[u8]>,
    ) {
        if self.asking(agent, turn).is_none() {
            return;
        }
        let number = match is_planted(Planted::WrongAccess) {
            true => number ^ 1,
            false => number,
        };
        if !is_planted(Planted::DropOutcome) {
            let outcome = Arc::clone(&outcome);
            self.commit(
                Record::Outcome {
                    agent,
                    number,
                    outcome,
                },
                true,
            );
        }
        self.effects.push(Effect::Resume {
            agent,
            turn,
            outcome,
        });
    }

    /// The input of an agent's interrupted turn, if it is still there: it goes before any other.
    pub(crate) fn interrupted_input(&self, id: AgentId) -> Option<TurnInput> {
        let agent = self.state.agents.get(&id)?;
        match &self.state.accesses.get(&id)?.input {
            InputRef::Message(key) => {
                let mail: Option<&Pending> = agent.mailbox.iter().find(|mail| mail.key == *key);
                mail.cloned().map(TurnInput::Message)
            }
            InputRef::Timer { id, .. } => agent.timers.get(id).map(|timer| TurnInput::Timer {
                id: *id,
                due: timer.due,
            }),
            InputRef::Init(_) | InputRef::Migrate(_) | InputRef::Shutdown => None,
        }
    }
}
