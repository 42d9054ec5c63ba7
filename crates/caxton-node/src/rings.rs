//! What happened lately, for whoever watches: bounded rings of events and of guests' log lines.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use caxton_kernel::NodeEvent;
use tokio::sync::broadcast;

use crate::request::{LogLine, NumberedEvent};

/// Events kept for watchers that come back with the last number they saw.
///
/// More would be more memory than the processor keeps near: each turn makes one and drops one.
const EVENTS_MAX: usize = 2_000;

/// Log lines kept, of all agents together.
const LINES_MAX: usize = 10_000;

/// Bytes that the items of one ring weigh together; beyond it the oldest goes.
///
/// A message of an event may have 1 MiB: without this bound 10,000 of them would be 10 GB.
const BYTES_MAX: u64 = 64 << 20;

/// What an item weighs without its texts. Unit: bytes.
const ITEM_WEIGHT: u64 = 200;

/// Events a slow watcher may lag behind before it is told that it missed some.
const WATCH_MAX: usize = 1_024;

/// The last items of one sort, numbered from 1.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    inner: Mutex<Inner<T>>,
    watch: broadcast::Sender<T>,
    max: usize,
    bytes_max: u64,
    weight: fn(&T) -> u64,
}

#[derive(Debug)]
struct Inner<T> {
    last: u64,
    items: VecDeque<T>,
    bytes: u64,
}

impl Ring<NumberedEvent> {
    /// Under a small memory budget it keeps less: a sixteenth of it.
    pub(crate) fn for_events(memory_budget: Option<u64>) -> Self {
        let part = memory_budget.map_or(BYTES_MAX, |budget| budget / 16);
        let ring = Self::new(EVENTS_MAX, |item| match &item.event {
            NodeEvent::Sent { message, .. } => message.bytes(),
            _ => 0,
        });
        Self {
            bytes_max: BYTES_MAX.min(part),
            ..ring
        }
    }
}

impl Ring<LogLine> {
    pub(crate) fn for_lines() -> Self {
        Self::new(LINES_MAX, |line| line.text.len() as u64)
    }
}

impl<T: Clone> Ring<T> {
    fn new(max: usize, weight: fn(&T) -> u64) -> Self {
        Self {
            inner: Mutex::new(Inner {
                last: 0,
                items: VecDeque::new(),
                bytes: 0,
            }),
            watch: broadcast::channel(WATCH_MAX).0,
            max,
            bytes_max: BYTES_MAX,
            weight,
        }
    }
    /// Adds an item that is made from its number.
    pub(crate) fn push(&self, make: impl FnOnce(u64) -> T) {
        self.push_all([make], |number, make| make(number));
    }
    /// Adds items, each made from its number.
    pub(crate) fn push_all<U>(&self, all: impl IntoIterator<Item = U>, make: impl Fn(u64, U) -> T) {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        let watched = self.watch.receiver_count() > 0;
        for one in all {
            inner.last += 1;
            let item = make(inner.last, one);
            inner.bytes += ITEM_WEIGHT + (self.weight)(&item);
            while inner.items.len() >= self.max || inner.bytes > self.bytes_max {
                let Some(oldest) = inner.items.pop_front() else {
                    break;
                };
                inner.bytes -= ITEM_WEIGHT + (self.weight)(&oldest);
            }
            if watched {
                // Who watched may just have gone. Sent under the lock: numbers ascend.
                let _ = self.watch.send(item.clone());
            }
            inner.items.push_back(item);
        }
    }
    /// Those that fit, oldest first, the last `limit` of them.
    pub(crate) fn last(&self, limit: usize, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<T> = guard
            .items
            .iter()
            .rev()
            .filter(|item| fits(item))
            .take(limit)
            .cloned()
            .collect();
        found.reverse();
        found
    }
    /// Those that fit, oldest first, the first `limit` of them.
    pub(crate) fn first(&self, limit: usize, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = guard.items.iter().filter(|item| fits(item));
        fitting.take(limit).cloned().collect()
    }
    /// Those to come.
    pub(crate) fn watch(&self) -> broadcast::Receiver<T> {
        self.watch.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_bounded_by_number_and_by_bytes() {
        let ring: Ring<(u64, u64)> = Ring::new(3, |item| item.1);
        for bytes in [1, 2, 3, 4] {
            ring.push(|number| (number, bytes));
        }
        assert_eq!(ring.last(9, |_| true), [(2, 2), (3, 3), (4, 4)]);
        assert_eq!(ring.first(2, |item| item.0 > 2), [(3, 3), (4, 4)]);
        assert_eq!(ring.first(1, |item| item.0 > 2), [(3, 3)]);
        ring.push(|number| (number, BYTES_MAX - 10));
        assert_eq!(ring.last(9, |_| true), [(5, BYTES_MAX - 10)]);
        ring.push(|number| (number, 1));
        assert_eq!(ring.last(9, |_| true), [(6, 1)]);
    }
}
