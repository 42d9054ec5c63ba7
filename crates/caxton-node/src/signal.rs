//! How a shard's thread is woken: by messages from peers and the edge, and by guests that can go on.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
    thread::Thread,
    time::Duration,
};

use caxton_model::AgentId;

/// A shard's bell.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    thread: OnceLock<Thread>,
    parked: AtomicBool,
    woken: Mutex<Vec<AgentId>>,
}

impl Signal {
    /// Says that the calling thread is the shard's.
    pub(crate) fn attach(&self) {
        // A second call would come from the same thread: there is one shard a bell.
        let _ = self.thread.set(std::thread::current());
    }
    /// Wakes the thread if it is parked.
    pub(crate) fn ring(&self) {
        if self.parked.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
    /// Parks the thread until the bell rings or the time is over, unless `busy` says there is work.
    pub(crate) fn park(&self, at_most: Duration, busy: impl FnOnce() -> bool) {
        self.parked.store(true, Ordering::SeqCst);
        let woken = !self
            .woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        if !woken && !busy() {
            std::thread::park_timeout(at_most);
        }
        self.parked.store(false, Ordering::SeqCst);
    }
    /// Guests that can go on since the last call.
    pub(crate) fn take_woken(&self, into: &mut Vec<AgentId>) {
        into.append(&mut self.woken.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Wakes one guest's turn.
#[derive(Debug)]
pub(crate) struct TurnWaker {
    agent: AgentId,
    signal: Arc<Signal>,
    woken: AtomicBool,
}

impl TurnWaker {
    pub(crate) fn new(agent: AgentId, signal: Arc<Signal>) -> Arc<Self> {
        Arc::new(Self {
            agent,
            signal,
            woken: AtomicBool::new(false),
        })
    }
    /// Whether it was woken and not yet polled again.
    pub(crate) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }
    /// It is about to be polled.
    pub(crate) fn clear(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }
}

impl Wake for TurnWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.signal
                .woken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(self.agent);
            self.signal.ring();
        }
    }
}
