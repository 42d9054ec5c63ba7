//! A queue into one thread, taken whole: one lock for many items.
//!
//! Giving never blocks. What bounds it is asked before the work that fills it is taken on: what was
//! decided has to be kept.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    items: Vec<T>,
    /// When the first of them was given.
    first_at: Option<Instant>,
    /// The same of those that were taken last and may still be worked on.
    in_hand_since: Option<Instant>,
    /// Whether the taker waits and was not woken for what is there.
    waiting: bool,
    /// Whether the taker is to come back although there is nothing.
    nudged: bool,
    closed: bool,
}

/// What taking found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Items,
    Nothing,
    /// Nothing, and nothing will come.
    Closed,
}

impl<T> Inner<T> {
    fn has_nothing(&mut self) -> bool {
        self.items.is_empty() && !self.closed && !self.nudged
    }
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                items: Vec::new(),
                first_at: None,
                in_hand_since: None,
                waiting: false,
                nudged: false,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts items at the end; leaves them where they are if the queue is closed. Who waits for them
    /// goes on waiting until [`Self::wake`].
    pub(crate) fn give(&self, items: &mut Vec<T>) {
        let mut inner = self.lock();
        if inner.closed {
            return;
        }
        if inner.items.is_empty() {
            // One look at the clock a batch, not an item.
            inner.first_at = Some(Instant::now());
            std::mem::swap(&mut inner.items, items);
        } else {
            inner.items.append(items);
        }
    }

    /// Puts one item at the end, and answers what `then` says under the queue's lock, so that numbers
    /// are given out in the order of the items; `None`: the queue is closed.
    pub(crate) fn push<R>(&self, item: T, then: impl FnOnce() -> R) -> Option<R> {
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        if inner.items.is_empty() {
            inner.first_at = Some(Instant::now());
        }
        inner.items.push(item);
        Some(then())
    }

    /// Wakes who waits for items, if there are any.
    pub(crate) fn wake(&self) {
        let mut inner = self.lock();
        // Where there are none the taker would go on waiting, and not be woken for the next.
        if !inner.items.is_empty() && std::mem::take(&mut inner.waiting) {
            drop(inner);
            self.changed.notify_one();
        }
    }

    /// Has the taker come back now, with nothing if there is nothing.
    pub(crate) fn nudge(&self) {
        self.lock().nudged = true;
        self.changed.notify_one();
    }

    /// Takes all there is into `items`, which must be empty; waits if there is nothing.
    pub(crate) fn take(&self, items: &mut Vec<T>, timeout: Option<Duration>) -> Taken {
        let mut inner = self.lock();
        inner.in_hand_since = None;
        if inner.items.is_empty() && !inner.closed {
            inner.waiting = true;
            inner = match timeout {
                Some(timeout) => {
                    self.changed
                        .wait_timeout_while(inner, timeout, Inner::has_nothing)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait_while(inner, Inner::has_nothing)
                    .unwrap_or_else(PoisonError::into_inner),
            };
            inner.waiting = false;
        }
        inner.nudged = false;
        if inner.items.is_empty() {
            return if inner.closed {
                Taken::Closed
            } else {
                Taken::Nothing
            };
        }
        std::mem::swap(&mut inner.items, items);
        inner.in_hand_since = inner.first_at.take();
        Taken::Items
    }

    /// When the oldest item was given that is in the queue or in the taker's hands.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let inner = self.lock();
        inner.in_hand_since.or(inner.first_at)
    }

    /// Waits this long, shorter if the queue is closed; answers whether it is.
    pub(crate) fn wait_closed(&self, timeout: Duration) -> bool {
        let inner = self.lock();
        self.changed
            .wait_timeout_while(inner, timeout, |i| !i.closed)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .closed
    }

    /// Waits this long, shorter if the taker is nudged or the queue is closed.
    pub(crate) fn wait_nudged(&self, timeout: Duration) {
        let inner = self.lock();
        drop(
            self.changed
                .wait_timeout_while(inner, timeout, |i| !i.closed && !i.nudged),
        );
    }

    /// Takes no more; what is in it can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two shards give, the first one wakes for both, the second one still wakes.
    #[test]
    fn a_wake_for_nothing_does_not_cost_the_next_one() {
        let queue = Queue::new();
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut items = Vec::new();
                queue.take(&mut items, None);
                items
            });
            while !queue.lock().waiting {
                std::thread::yield_now();
            }
            for _ in 0..1_000 {
                queue.wake();
                assert!(queue.lock().waiting, "it waits and can't be woken");
            }
            queue.give(&mut vec![7]);
            queue.wake();
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
