//! How a shard's thread is woken: by messages from peers and the edge, and by guests that can go on.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::Wake,
    thread::Thread,
    time::Duration,
};

use caxton_engine::Engine;
use caxton_model::{AgentId, Micros, Timestamp};

use crate::clock;

/// How often a long turn is interrupted for new messages: it gets on beside others that send without
/// end, and what an interruption costs stays below a tenth.
const INTERRUPTED_EVERY: Micros = Micros(50);

/// A shard's bell.
pub(crate) struct Signal {
    engine: Engine,
    /// Whether a guest runs that has used up a slice before.
    long_turn: AtomicBool,
    /// When such a guest was interrupted last. Unit: microseconds since 1970.
    interrupted: AtomicI64,
    thread: OnceLock<Thread>,
    parked: AtomicBool,
    woken: Mutex<Vec<AgentId>>,
}

impl Signal {
    pub(crate) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Self {
            engine,
            long_turn: AtomicBool::new(false),
            interrupted: AtomicI64::new(0),
            thread: OnceLock::new(),
            parked: AtomicBool::new(false),
            woken: Mutex::default(),
        })
    }
    /// Says that the calling thread is the shard's.
    pub(crate) fn attach(&self) {
        // A second call would come from the same thread: there is one shard a bell.
        let _ = self.thread.set(std::thread::current());
    }
    /// Says that there are messages: wakes the thread, or interrupts the long turn it is at.
    pub(crate) fn ring(&self) {
        self.wake();
        if !self.long_turn.load(Ordering::Relaxed) {
            return;
        }
        let (now, last) = (clock::now(), self.interrupted.load(Ordering::Relaxed));
        if now.since(Timestamp(last)) >= INTERRUPTED_EVERY
            && self.long_turn.swap(false, Ordering::Relaxed)
        {
            self.interrupted.store(now.0, Ordering::Relaxed);
            self.engine.preempt();
        }
    }
    /// Runs another slice of a turn that used up one before.
    pub(crate) fn long_turn(&self, slice: impl FnOnce()) {
        self.long_turn.store(true, Ordering::Relaxed);
        slice();
        self.long_turn.store(false, Ordering::Relaxed);
    }
    /// Wakes the thread if it is parked.
    fn wake(&self) {
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
            self.signal.wake();
        }
    }
}
