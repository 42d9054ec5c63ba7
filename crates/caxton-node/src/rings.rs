//! What happened lately, for whoever watches: bounded rings of events and of guests' log lines.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use tokio::sync::broadcast;

/// Events kept for watchers that come back with the last number they saw.
const EVENTS_MAX: usize = 10_000;

/// Log lines kept, of all agents together; each is at most 8 KiB, so at most 80 MiB.
const LINES_MAX: usize = 10_000;

/// Events a slow watcher may lag behind before it is told that it missed some.
const WATCH_MAX: usize = 1_024;

/// The last items of one sort, numbered from 1.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    inner: Mutex<(u64, VecDeque<T>)>,
    watch: broadcast::Sender<T>,
    max: usize,
}

impl<T: Clone> Ring<T> {
    fn new(max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            watch: broadcast::channel(WATCH_MAX).0,
            max,
        }
    }
    pub(crate) fn for_events() -> Self {
        Self::new(EVENTS_MAX)
    }
    pub(crate) fn for_lines() -> Self {
        Self::new(LINES_MAX)
    }
    /// Adds an item that is made from its number.
    pub(crate) fn push(&self, make: impl FnOnce(u64) -> T) {
        self.push_all([make], |number, make| make(number));
    }
    /// Adds items, each made from its number.
    pub(crate) fn push_all<U>(&self, all: impl IntoIterator<Item = U>, make: impl Fn(u64, U) -> T) {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, items) = &mut *guard;
        let watched = self.watch.receiver_count() > 0;
        for one in all {
            *last += 1;
            let item = make(*last, one);
            if items.len() >= self.max {
                items.pop_front();
            }
            if watched {
                // Who watched may just have gone. Sent under the lock: numbers ascend.
                let _ = self.watch.send(item.clone());
            }
            items.push_back(item);
        }
    }
    /// Those that fit, oldest first, the last `limit` of them.
    pub(crate) fn last(&self, limit: usize, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<T> = guard
            .1
            .iter()
            .rev()
            .filter(|item| fits(item))
            .take(limit)
            .cloned()
            .collect();
        found.reverse();
        found
    }
    /// Those to come.
    pub(crate) fn watch(&self) -> broadcast::Receiver<T> {
        self.watch.subscribe()
    }
}
