//! What waits for time, in the order in which it falls due.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use caxton_model::{AgentId, Timestamp};

/// What falls due. At most one of each waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Alarm {
    /// An agent's earliest timer.
    Timer(AgentId),
    /// A pause before the next init is over.
    Restart(AgentId),
    /// An idle instance may be dropped.
    Passivate(AgentId),
    /// A stop has waited long enough.
    Grace(AgentId),
    /// A request's `reply_by`: asker and `reply_with`.
    ReplyBy(Arc<str>, Arc<str>),
    /// A client's oldest reply grows too old.
    Replies(Arc<str>),
    /// Silent conversations are forgotten.
    Conversations,
}

/// All that waits.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    order: BTreeSet<(Timestamp, Alarm)>,
    due: HashMap<Alarm, Timestamp>,
}

impl Alarms {
    /// Sets one, in place of the same one set before.
    pub(crate) fn set(&mut self, alarm: Alarm, due: Timestamp) {
        self.clear(&alarm);
        self.due.insert(alarm.clone(), due);
        self.order.insert((due, alarm));
    }
    /// Takes one back.
    pub(crate) fn clear(&mut self, alarm: &Alarm) {
        if let Some(due) = self.due.remove(alarm) {
            self.order.remove(&(due, alarm.clone()));
        }
    }
    /// Whether it is set.
    pub(crate) fn is_set(&self, alarm: &Alarm) -> bool {
        self.due.contains_key(alarm)
    }
    /// When the next one falls due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(due, _)| *due)
    }
    /// Takes out the next one that is due.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        let (_, alarm) = self.order.pop_first()?;
        self.due.remove(&alarm);
        Some(alarm)
    }
}
