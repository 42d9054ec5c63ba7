//! Accesses inside a turn that cannot be taken back: what is recorded of them, so that a turn which a
//! crash interrupted asks the same again and is given what it was given before.

use std::sync::Arc;

use crate::{AgentId, Digest, HostCode, InputRef, Intent, Part, State, Timestamp};

/// Accesses that one turn may make with a record of each.
pub const ACCESSES_OF_TURN_MAX: usize = 1_000;

/// Bytes of all outcomes that one turn is given.
///
/// They are kept until the turn ends, since it may have to run again. Unit: 16 MiB.
pub const OUTCOME_BYTES_OF_TURN_MAX: usize = 16 << 20;

/// The recorded accesses of the turn that an agent has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnAccesses {
    /// The input of the turn. The turn runs again with this one before any other.
    pub input: InputRef,
    /// The number of the turn when it first ran. It names the idempotency keys.
    pub turn: u64,
    /// The seed of the turn's random numbers.
    pub seed: u64,
    /// The readings of the clock that the guest made before its last access, in order.
    pub clock_reads: Vec<Timestamp>,
    /// The accesses, in the order in which the guest asked for them.
    pub accesses: Vec<RecordedAccess>,
}

/// One access of a turn, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAccess {
    /// The time at which its intent was recorded.
    pub at: Timestamp,
    /// The digest of the whole request. A repetition must have the same.
    pub digest: Digest,
    /// What people may see of it: never a secret, never a body.
    pub shown: Arc<str>,
    /// What the guest was given; `None`: it was asked for and has no outcome yet.
    pub outcome: Option<Arc<[u8]>>,
}

/// An outcome as it is recorded: the number that the host function answers, then what the guest reads.
#[must_use]
pub fn join_outcome(code: Result<(), HostCode>, reply: &[u8]) -> Arc<[u8]> {
    let code = code.map_or_else(HostCode::as_i32, |()| 0);
    [&code.to_le_bytes(), reply].concat().into()
}

/// The two parts of a recorded outcome.
#[must_use]
pub fn split_outcome(outcome: &[u8]) -> (i32, &[u8]) {
    match outcome.split_first_chunk() {
        Some((code, reply)) => (i32::from_le_bytes(*code), reply),
        None => (HostCode::Unavailable.as_i32(), &[]),
    }
}

impl TurnAccesses {
    /// The key by which the other side recognises a repetition of the access with this number.
    ///
    /// It follows from what is recorded: every repetition has the same, and no other access has it.
    #[must_use]
    pub fn idempotency_key(&self, agent: AgentId, number: usize) -> String {
        let digest = self.accesses.get(number).map(|access| access.digest);
        let text = format!(
            "caxton access: agent {agent}, turn {}, seed {}, number {number}, {digest:?}",
            self.turn, self.seed
        );
        let mut hex = Digest::of(text.as_bytes()).hex();
        hex.truncate(32);
        hex
    }
    /// Bytes of all outcomes.
    #[must_use]
    pub fn outcome_bytes(&self) -> usize {
        let outcomes = self.accesses.iter().filter_map(|a| a.outcome.as_ref());
        outcomes.map(|outcome| outcome.len()).sum()
    }
}

impl State {
    /// Notes an access that a turn asks for. The first of a turn takes the place of what a turn before
    /// it may have left.
    pub(crate) fn apply_intent(&mut self, at: Timestamp, intent: &Intent) {
        self.touch(Part::Accesses(intent.agent));
        if intent.number == 0 {
            self.accesses.remove(&intent.agent);
        }
        let recorded = self
            .accesses
            .entry(intent.agent)
            .or_insert_with(|| TurnAccesses {
                input: intent.input.clone(),
                turn: intent.turn,
                seed: intent.seed,
                clock_reads: Vec::new(),
                accesses: Vec::new(),
            });
        recorded.clock_reads.extend(&intent.clock_reads);
        recorded.accesses.push(RecordedAccess {
            at,
            digest: intent.digest,
            shown: Arc::clone(&intent.shown),
            outcome: None,
        });
    }

    pub(crate) fn apply_outcome(&mut self, agent: AgentId, number: u32, outcome: &Arc<[u8]>) {
        self.touch(Part::Accesses(agent));
        let recorded = self.accesses.get_mut(&agent);
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if let Some(access) = recorded.and_then(|recorded| recorded.accesses.get_mut(at)) {
            access.outcome = Some(Arc::clone(outcome));
        }
    }

    /// The turn with this input has ended: it does not run again.
    pub(crate) fn end_accesses(&mut self, agent: AgentId, input: &InputRef) {
        if self.accesses.is_empty() {
            return;
        }
        if self.accesses.get(&agent).is_some_and(|r| r.input == *input) {
            self.forget_accesses(agent);
        }
    }

    pub(crate) fn forget_accesses(&mut self, agent: AgentId) {
        if self.accesses.remove(&agent).is_some() {
            self.touch(Part::Accesses(agent));
        }
    }

    /// The timer whose turn was interrupted, if that is what an agent's recorded accesses are of.
    pub(crate) fn interrupted_timer(&self, agent: AgentId) -> Option<i32> {
        match self.accesses.get(&agent)?.input {
            InputRef::Timer { id, .. } => Some(id),
            _ => None,
        }
    }
}
