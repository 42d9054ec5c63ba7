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
    /// Subscribers of the directory are told of what has changed.
    Subscribers,
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
    /// Sets one, unless the same one is due by then anyway.
    pub(crate) fn set_by(&mut self, alarm: Alarm, due: Timestamp) {
        if self.due.get(&alarm).is_none_or(|set| due < *set) {
            self.set(alarm, due);
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Alarms ring once, in order, when they are due, as the last setting said.
        #[test]
        fn alarms_do_what_a_plain_map_does(
            acts in prop::collection::vec((0..3_u8, 0..6_u64, 0..50_i64), 0..60),
        ) {
            let (mut alarms, mut plain) = (Alarms::default(), BTreeMap::new());
            for (act, agent, time) in acts {
                let (alarm, time) = (Alarm::Timer(AgentId(agent)), Timestamp(time));
                match act {
                    0 => {
                        alarms.set(alarm.clone(), time);
                        plain.insert(alarm, time);
                    }
                    1 => {
                        alarms.clear(&alarm);
                        plain.remove(&alarm);
                    }
                    _ => {
                        let mut rang = Vec::new();
                        while let Some(alarm) = alarms.pop(time) {
                            rang.push(alarm);
                        }
                        let mut due: Vec<_> = plain
                            .iter()
                            .filter(|(_, due)| **due <= time)
                            .map(|(alarm, due)| (*due, alarm.clone()))
                            .collect();
                        due.sort();
                        plain.retain(|_, due| *due > time);
                        let due: Vec<_> = due.into_iter().map(|(_, alarm)| alarm).collect();
                        prop_assert_eq!(rang, due);
                    }
                }
                prop_assert_eq!(alarms.next(), plain.values().min().copied());
                prop_assert!(plain.keys().all(|alarm| alarms.is_set(alarm)));
            }
        }
    }
}
