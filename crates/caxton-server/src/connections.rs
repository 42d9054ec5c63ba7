//! Which connections there are, whose they are, and which one is evicted when there is no room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use caxton_model::ErrorCode;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::{auth::Caller, refuse::Failure};

/// Of the connections that the other callers leave, a caller may have these parts of four.
///
/// More than half, so that a node with one token is of use; not all, so that others get in.
const CALLER_QUARTERS: usize = 3;

/// How long the first of the strangers that were asked to go is waited for before the next is asked.
///
/// They go as soon as their tasks run; the wait is for one whose answer is being made.
const EVICTION_PAUSE: Duration = Duration::from_millis(50);

/// All connections of a server. Clones are the same.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    max: usize,
    all: Mutex<All>,
    /// Wakes those that wait for a connection's end, or for a stranger to become a caller.
    changed: Notify,
}

#[derive(Default)]
struct All {
    next: u64,
    count: usize,
    ended: u64,
    /// Connections on which no token has been shown, in the order of their age.
    strangers: BTreeMap<u64, Arc<Eviction>>,
    /// How many of the others there are, by the token's id.
    callers: HashMap<Arc<str>, usize>,
}

/// Whether a stranger was asked to go, and who has to hear of it.
#[derive(Default)]
struct Eviction {
    is_asked: AtomicBool,
    task: AtomicWaker,
}

/// One connection. Its place is given back when this is dropped.
pub(crate) struct Connection {
    connections: Connections,
    number: u64,
    eviction: Arc<Eviction>,
    caller: Mutex<Option<Arc<str>>>,
    /// Whether a whole request has come.
    asked: AtomicBool,
    /// Whether the last one's answer is being made.
    answering: AtomicBool,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            all: Mutex::default(),
            changed: Notify::new(),
        }))
    }
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.all().count < self.0.max
    }
    /// A new connection, of a stranger.
    pub(crate) fn enter(&self) -> Arc<Connection> {
        self.enter_as(None)
    }
    /// A new connection from within the data directory: the operator's, whatever token it shows. It
    /// is in no token's share, and is never asked to go.
    pub(crate) fn enter_local(&self) -> Arc<Connection> {
        self.enter_as(Some("local".into()))
    }
    fn enter_as(&self, caller: Option<Arc<str>>) -> Arc<Connection> {
        let mut all = self.all();
        all.next += 1;
        all.count += 1;
        let number = all.next;
        let eviction = Arc::<Eviction>::default();
        match &caller {
            Some(caller) => *all.callers.entry(Arc::clone(caller)).or_default() += 1,
            None => drop(all.strangers.insert(number, Arc::clone(&eviction))),
        }
        drop(all);
        Arc::new(Connection {
            connections: self.clone(),
            number,
            eviction,
            caller: Mutex::new(caller),
            asked: AtomicBool::new(false),
            answering: AtomicBool::new(false),
        })
    }
    /// Asks strangers to go, the oldest first, until a connection has ended; `false` if there are no
    /// strangers, or all of them turned out to be callers.
    ///
    /// A stranger goes by itself, after it has read what has arrived: see [`Connection::is_asked_to_go`].
    pub(crate) async fn make_room(&self) -> bool {
        let before = self.all().ended;
        loop {
            let changed = self.0.changed.notified();
            {
                let all = self.all();
                if all.ended != before {
                    return true;
                }
                if all.strangers.is_empty() {
                    return false;
                }
                let mut strangers = all.strangers.values();
                let next = strangers.find(|one| !one.is_asked.swap(true, Ordering::AcqRel));
                if let Some(next) = next {
                    next.task.wake();
                }
            }
            let _ = tokio::time::timeout(EVICTION_PAUSE, changed).await;
        }
    }
    /// Waits until no connection is left.
    pub(crate) async fn all_ended(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.all().count == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Connection {
    /// Whether this is still a stranger's connection, and its place is needed. If not, the waker is
    /// called when it is.
    pub(crate) fn is_asked_to_go(&self, waker: &Waker) -> bool {
        self.eviction.task.register(waker);
        self.eviction.is_asked.load(Ordering::Acquire)
    }
    /// Notes that a whole request has come.
    pub(crate) fn asks(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
    }
    /// Notes that the answer to it is there.
    pub(crate) fn answered(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }
    /// Whether the answer to a request is being made.
    pub(crate) fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }
    /// Whether a whole request has come.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
    fn caller(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.caller.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// A valid token was shown on this connection: from now on it is that caller's, and stays.
    ///
    /// Errors: `too-many-requests` if the caller has its share of connections.
    pub(crate) fn belongs_to(&self, caller: &Caller) -> Result<(), Failure> {
        let mut own = self.caller();
        if own.is_some() {
            return Ok(());
        }
        let mut all = self.connections.all();
        let max = self.connections.0.max;
        let known: usize = all.callers.values().sum();
        let count = all.callers.get(&caller.id).copied().unwrap_or_default();
        let share = max.saturating_sub(known - count) * CALLER_QUARTERS / 4;
        if count >= share.max(1) {
            let detail = format!(
                "token `{}` has {count} connections, which is its share of the {max} that this \
                 node takes",
                caller.name
            );
            return Err(Failure::new(ErrorCode::TooManyRequests, detail));
        }
        all.strangers.remove(&self.number);
        all.callers.insert(Arc::clone(&caller.id), count + 1);
        *own = Some(Arc::clone(&caller.id));
        // Only strangers are asked, under this lock, so this is final.
        self.eviction.is_asked.store(false, Ordering::Release);
        drop(all);
        self.connections.0.changed.notify_waiters();
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let caller = self.caller().take();
        let mut all = self.connections.all();
        all.count = all.count.saturating_sub(1);
        all.ended += 1;
        all.strangers.remove(&self.number);
        if let Some(caller) = caller
            && let Some(count) = all.callers.get_mut(&caller)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.callers.remove(&caller);
            }
        }
        drop(all);
        self.connections.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(id: &str) -> Caller {
        let mut caller = Caller::nobody();
        caller.id = id.into();
        caller
    }

    /// As many connections as a caller gets.
    fn fill(connections: &Connections, id: &str) -> Vec<Arc<Connection>> {
        let enter = || {
            let connection = connections.enter();
            connection.belongs_to(&caller(id)).map(|()| connection)
        };
        std::iter::from_fn(|| enter().ok()).collect()
    }

    #[tokio::test]
    async fn no_caller_gets_what_others_need() {
        let connections = Connections::new(100);
        let one = fill(&connections, "one");
        let two = fill(&connections, "two");
        let three = fill(&connections, "three");
        assert_eq!([one.len(), two.len(), three.len()], [75, 18, 5]);
        assert!(connections.has_room());
        drop(one);
        assert_eq!(fill(&connections, "one").len(), 57);
        drop((two, three));
        connections.all_ended().await;
        assert!(connections.all().callers.is_empty());
        assert_eq!(fill(&Connections::new(1), "one").len(), 1);
    }

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "a task is what is tested")]
    async fn the_oldest_stranger_goes_and_no_caller_does() {
        let connections = Connections::new(3);
        let enter = || {
            let connection = connections.enter();
            let weak = Arc::downgrade(&connection);
            tokio::spawn(std::future::poll_fn(move |cx| {
                match connection.is_asked_to_go(cx.waker()) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            }));
            weak
        };
        let (one, two, three) = (enter(), enter(), enter());
        assert!(!connections.has_room());
        one.upgrade().unwrap().belongs_to(&caller("one")).unwrap();
        assert!(connections.make_room().await);
        assert!(one.strong_count() == 1 && two.strong_count() == 0 && three.strong_count() == 1);
        assert!(connections.has_room());
        assert!(connections.make_room().await);
        assert!(!connections.make_room().await, "no stranger is left");
        assert_eq!(one.strong_count(), 1);
    }

    #[tokio::test]
    async fn a_stranger_that_shows_a_token_after_it_was_asked_to_go_stays() {
        let connections = Connections::new(1);
        let one = connections.enter();
        let shown = async {
            let asked = std::future::poll_fn(|cx| match one.is_asked_to_go(cx.waker()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            });
            asked.await;
            one.belongs_to(&caller("one")).unwrap();
        };
        let (has_room, ()) = tokio::join!(connections.make_room(), shown);
        assert!(!has_room && !one.is_asked_to_go(Waker::noop()));
    }
}
