//! The rules that a life is held to, each with its name.

use std::fmt;

/// What must be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// What was acknowledged, or crossed the edge in any other form, survives every crash.
    AcknowledgedSurvives,
    /// A journal that was written can be opened again, whatever happened to the disk.
    JournalOpens,
    /// What is recovered is what was recorded: state, and stored values.
    RecoveredIsRecorded,
    /// A restart leaves every durable agent where it was.
    RestartChangesNothing,
    /// No message takes effect twice.
    OnceInEffect,
    /// A client's retry does not run again.
    RetryIsHarmless,
    /// A timer rings once, and not before it is due.
    TimerRingsOnce,
    /// Each pair of sender and receiver has its order.
    OrderPerPair,
    /// No effect stands before its cause.
    CauseBeforeEffect,
    /// Each message is used, refused or waiting: exactly one of these.
    OneFate,
    /// What can't be delivered is among the dead letters, and its sender was told.
    DeadLetterKept,
    /// Mailboxes hold no more than they may.
    QueuesBounded,
    /// An instance that faulted is never used again.
    FaultedInstanceGone,
    /// Pauses, patience and groups are as written.
    SupervisionAsWritten,
    /// What falls due is done: timers, `reply_by`, old replies.
    DueIsDone,
    /// A client's reply comes from whoever was asked.
    AnswerFromAsked,
    /// No mail is forgotten where nothing is left to do.
    NothingForgotten,
    /// Nothing is asked of the outside before its intent is durable.
    IntentBeforeAccess,
    /// Each repetition of an access has the key of the first, and no other access has it.
    AccessesHaveKeys,
    /// A turn is given the outcome of what it asked for, and its record stands behind it.
    OutcomeIsItsOwn,
    /// A turn that runs again sees the clock and the numbers that it saw, and asks the same.
    AsksTheSameAgain,
    /// What all shards see of an agent is what its own shard knows.
    DirectoryIsTrue,
}

impl Rule {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedSurvives => "acknowledged-survives",
            Self::JournalOpens => "journal-opens",
            Self::RecoveredIsRecorded => "recovered-is-recorded",
            Self::RestartChangesNothing => "restart-changes-nothing",
            Self::OnceInEffect => "once-in-effect",
            Self::RetryIsHarmless => "retry-is-harmless",
            Self::TimerRingsOnce => "timer-rings-once",
            Self::OrderPerPair => "order-per-pair",
            Self::CauseBeforeEffect => "cause-before-effect",
            Self::OneFate => "one-fate",
            Self::DeadLetterKept => "dead-letter-kept",
            Self::QueuesBounded => "queues-bounded",
            Self::FaultedInstanceGone => "faulted-instance-gone",
            Self::SupervisionAsWritten => "supervision-as-written",
            Self::DueIsDone => "due-is-done",
            Self::AnswerFromAsked => "answer-from-asked",
            Self::NothingForgotten => "nothing-forgotten",
            Self::IntentBeforeAccess => "intent-before-access",
            Self::AccessesHaveKeys => "accesses-have-keys",
            Self::OutcomeIsItsOwn => "outcome-is-its-own",
            Self::AsksTheSameAgain => "asks-the-same-again",
            Self::DirectoryIsTrue => "directory-is-true",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that does not hold, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub rule: Rule,
    /// How, in words.
    pub how: String,
}

impl Breach {
    pub(crate) fn new(rule: Rule, how: impl Into<String>) -> Self {
        Self {
            rule,
            how: how.into(),
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.how)
    }
}
