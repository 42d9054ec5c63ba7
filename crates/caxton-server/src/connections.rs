//! Which connections there are, whose they are, and which one is closed when there is no room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use caxton_model::ErrorCode;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{auth::Caller, refuse::Failure};

/// Of the connections that the other callers leave, a caller may have these parts of four.
///
/// More than half, so that a node with one token is of use; not all, so that others get in.
const CALLER_QUARTERS: usize = 3;

/// All connections of a server. Clones are the same.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    max: usize,
    all: Mutex<All>,
    /// Wakes those that wait for the last connection's end.
    ended: Notify,
}

#[derive(Default)]
struct All {
    next: u64,
    count: usize,
    /// Connections on which no token has been shown, with their tasks, in the order of their age.
    strangers: BTreeMap<u64, Option<JoinHandle<()>>>,
    /// How many of the others there are, by the token's id.
    callers: HashMap<Arc<str>, usize>,
}

/// One connection. Its place is given back when this is dropped.
pub(crate) struct Connection {
    connections: Connections,
    number: u64,
    caller: Mutex<Option<Arc<str>>>,
    /// Whether a whole request has come.
    asked: AtomicBool,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Shared {
            max,
            all: Mutex::default(),
            ended: Notify::new(),
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
        let mut all = self.all();
        all.next += 1;
        all.count += 1;
        let number = all.next;
        all.strangers.insert(number, None);
        drop(all);
        Arc::new(Connection {
            connections: self.clone(),
            number,
            caller: Mutex::default(),
            asked: AtomicBool::new(false),
        })
    }
    /// Keeps the task of a stranger's connection, by which it can be closed.
    pub(crate) fn keep_task(&self, number: u64, task: JoinHandle<()>) {
        if let Some(stranger) = self.all().strangers.get_mut(&number) {
            *stranger = Some(task);
        }
    }
    /// Closes the stranger's connection that is the oldest; `false` if there is none.
    pub(crate) async fn close_oldest_stranger(&self) -> bool {
        let oldest = self.all().strangers.pop_first();
        let Some((_, Some(task))) = oldest else {
            return false;
        };
        task.abort();
        // However it ended: its descriptor is free now.
        let _ = task.await;
        true
    }
    /// Waits until no connection is left.
    pub(crate) async fn all_ended(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.all().count == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Connection {
    /// Its number.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }
    /// Notes that a whole request has come.
    pub(crate) fn asks(&self) {
        self.asked.store(true, Ordering::Relaxed);
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
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let caller = self.caller().take();
        let mut all = self.connections.all();
        all.count = all.count.saturating_sub(1);
        all.strangers.remove(&self.number);
        if let Some(caller) = caller
            && let Some(count) = all.callers.get_mut(&caller)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.callers.remove(&caller);
            }
        }
        let last = all.count == 0;
        drop(all);
        if last {
            self.connections.0.ended.notify_waiters();
        }
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
    async fn the_oldest_stranger_is_closed_and_no_caller_is() {
        let connections = Connections::new(3);
        let enter = || {
            let connection = connections.enter();
            let held = Arc::clone(&connection);
            let task = tokio::spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            connections.keep_task(connection.number(), task);
            Arc::downgrade(&connection)
        };
        let (one, two, three) = (enter(), enter(), enter());
        assert!(!connections.has_room());
        one.upgrade().unwrap().belongs_to(&caller("one")).unwrap();
        assert!(connections.close_oldest_stranger().await);
        assert!(one.strong_count() == 1 && two.strong_count() == 0 && three.strong_count() == 1);
        assert!(connections.has_room());
        assert!(connections.close_oldest_stranger().await);
        assert!(
            !connections.close_oldest_stranger().await,
            "no stranger is left"
        );
        assert_eq!(one.strong_count(), 1);
    }
}
