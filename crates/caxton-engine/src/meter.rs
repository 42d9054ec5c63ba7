//! The clock of one turn: time really run, time waited in host functions.
//!
//! The one module of this crate that reads clocks. Shared between the future that is polled and
//! the guest's store, both on one thread at a time; atomics only because futures must be `Send`.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Wake, Waker},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::raw;

/// What a turn has at least before it must give way. Unit: nanoseconds.
const FIRST_SLICE_NANOS_MIN: u64 = 500_000;
/// What the first slice of a turn counts at most. Unit: nanoseconds.
///
/// It is measured by the wall clock, which is cheap but also runs while the operating system runs
/// somebody else. A tick ends a slice after 1.5 ms at most; later slices use the thread's own clock.
const FIRST_SLICE_NANOS_MAX: u64 = 2_000_000;

/// The clock of one turn.
#[derive(Debug)]
pub(crate) struct Meter {
    base: Instant,
    slice_started: AtomicU64,
    slice_thread_started: AtomicU64,
    slices: AtomicU64,
    cpu: AtomicU64,
    host_wait: AtomicU64,
    waiting: AtomicU64,
    stack: AtomicUsize,
}

fn thread_nanos() -> u64 {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(at.tv_sec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(at.tv_nsec).unwrap_or(0))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Meter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            slice_started: AtomicU64::new(0),
            slice_thread_started: AtomicU64::new(0),
            slices: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            host_wait: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            stack: AtomicUsize::new(0),
        })
    }
    /// Starts a turn.
    pub(crate) fn reset(&self) {
        for counter in [&self.slices, &self.cpu, &self.host_wait, &self.waiting] {
            counter.store(0, Relaxed);
        }
    }
    fn elapsed(&self) -> u64 {
        nanos(self.base.elapsed())
    }
    /// A poll begins.
    pub(crate) fn slice_begins(&self) {
        if self.slices.load(Relaxed) == 0 {
            raw::take_new_stack();
        }
        self.slice_started.store(self.elapsed(), Relaxed);
        if self.slices.load(Relaxed) > 0 {
            self.slice_thread_started.store(thread_nanos(), Relaxed);
        }
    }
    fn slice_nanos(&self) -> u64 {
        if self.slices.load(Relaxed) == 0 {
            self.elapsed()
                .saturating_sub(self.slice_started.load(Relaxed))
                .min(FIRST_SLICE_NANOS_MAX)
        } else {
            thread_nanos().saturating_sub(self.slice_thread_started.load(Relaxed))
        }
    }
    /// Whether the turn is so young that a tick passes it by: whoever gives way waits behind all
    /// that did before, and most turns need microseconds.
    pub(crate) fn has_just_begun(&self) -> bool {
        self.slices.load(Relaxed) == 0 && self.slice_nanos() < FIRST_SLICE_NANOS_MIN
    }
    /// A poll is over.
    pub(crate) fn slice_ends(&self) {
        self.cpu.fetch_add(self.slice_nanos(), Relaxed);
        if self.slices.fetch_add(1, Relaxed) == 0 {
            let stack = raw::take_new_stack();
            if stack != 0 {
                self.stack.store(stack, Relaxed);
            }
        }
    }
    /// Where this store's stack is, if it came out of the slab.
    pub(crate) fn stack(&self) -> Option<usize> {
        Some(self.stack.load(Relaxed)).filter(|stack| *stack != 0)
    }
    /// Time run up to now, inside a slice.
    pub(crate) fn cpu_running(&self) -> u64 {
        self.cpu.load(Relaxed).saturating_add(self.slice_nanos())
    }
    /// Time run, between slices.
    pub(crate) fn cpu(&self) -> u64 {
        self.cpu.load(Relaxed)
    }
    /// Time waited in host functions.
    pub(crate) fn host_wait(&self) -> u64 {
        self.host_wait.load(Relaxed)
    }
    /// Slices after the first that were not ended by a host wait.
    pub(crate) fn preemptions(&self) -> u64 {
        self.slices
            .load(Relaxed)
            .saturating_sub(1)
            .saturating_sub(self.waiting.load(Relaxed))
    }
    /// Awaits a host function's future, and counts the wait, without the time the shard needed
    /// to come back to the guest. `None`: `wall_nanos_max` was over first.
    ///
    /// Cancel: dropping it ends the wait.
    pub(crate) async fn wait<T>(
        &self,
        wall_nanos_max: u64,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let spent = self.cpu_running().saturating_add(self.host_wait());
        let left = Duration::from_nanos(wall_nanos_max.saturating_sub(spent));
        // A year is as good as never, and does not overflow the timer.
        let mut deadline = pin!(tokio::time::sleep(
            left.min(Duration::from_secs(31_536_000))
        ));
        let mut began: Option<u64> = None;
        let mut stamp: Option<Arc<WakeStamp>> = None;
        let result = poll_fn(|cx| {
            let now = self.elapsed();
            let mark = Arc::new(WakeStamp {
                base: self.base,
                woken: AtomicU64::new(0),
                inner: cx.waker().clone(),
            });
            let waker = Waker::from(mark.clone());
            let mut marked = std::task::Context::from_waker(&waker);
            if let Poll::Ready(value) = future.as_mut().poll(&mut marked) {
                return Poll::Ready(Some(value));
            }
            if deadline.as_mut().poll(&mut marked).is_ready() {
                return Poll::Ready(None);
            }
            self.waiting.fetch_add(1, Relaxed);
            began.get_or_insert(now);
            stamp = Some(mark);
            Poll::Pending
        })
        .await;
        if let Some(began) = began {
            let woken = stamp.map_or(0, |stamp| stamp.woken.load(Relaxed));
            let ended = if woken == 0 { self.elapsed() } else { woken };
            self.host_wait
                .fetch_add(ended.saturating_sub(began), Relaxed);
        }
        result
    }
}

/// Notes when a waiting guest could go on.
struct WakeStamp {
    base: Instant,
    woken: AtomicU64,
    inner: Waker,
}

impl Wake for WakeStamp {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        let at = nanos(self.base.elapsed()).max(1);
        let _ = self.woken.compare_exchange(0, at, Relaxed, Relaxed);
        self.inner.wake_by_ref();
    }
}
