//! Memory for the bodies of requests: what has arrived is counted, and charged to its caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How long a body that has no room waits until others make some.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// The memory that all bodies share. Clones are the same.
///
/// A caller may hold as much as is free beside it: alone, half of the memory; the second caller
/// then half of the rest. So whoever comes finds room, however many bodies one caller has sent.
#[derive(Clone)]
pub(crate) struct BodyRoom(Arc<Shared>);

struct Shared {
    bytes_max: usize,
    held: Mutex<HashMap<Arc<str>, usize>>,
    /// Wakes those that wait for room.
    freed: Notify,
}

/// Memory of one body. It is given back when this is dropped.
pub(crate) struct HeldRoom {
    room: BodyRoom,
    caller: Arc<str>,
    bytes: usize,
}

impl BodyRoom {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Shared {
            bytes_max,
            held: Mutex::default(),
            freed: Notify::new(),
        }))
    }
    /// Room for a body of this caller, none so far.
    pub(crate) fn begin(&self, caller: &Arc<str>) -> HeldRoom {
        HeldRoom {
            room: self.clone(),
            caller: Arc::clone(caller),
            bytes: 0,
        }
    }
    fn held(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn take(&self, caller: &Arc<str>, bytes: usize) -> bool {
        let mut held = self.held();
        let all: usize = held.values().sum();
        let own = held.get(caller).copied().unwrap_or_default() + bytes;
        if own > self.0.bytes_max.saturating_sub(all + bytes) {
            return false;
        }
        held.insert(Arc::clone(caller), own);
        true
    }
}

impl HeldRoom {
    /// Takes room for bytes that have arrived, waiting for it if need be; `false`: there is none.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        let until = Instant::now() + ROOM_WAIT;
        loop {
            // Listened to before the room is looked at, so that nothing is freed in between.
            let freed = self.room.0.freed.notified();
            if self.room.take(&self.caller, bytes) {
                self.bytes += bytes;
                return true;
            }
            if tokio::time::timeout_at(until, freed).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for HeldRoom {
    fn drop(&mut self) {
        let mut held = self.room.held();
        let rest = held
            .get(&self.caller)
            .map_or(0, |held| held.saturating_sub(self.bytes));
        match rest {
            0 => drop(held.remove(&self.caller)),
            rest => drop(held.insert(Arc::clone(&self.caller), rest)),
        }
        drop(held);
        self.room.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caller_leaves_as_much_as_it_holds() {
        tokio::time::pause();
        let room = BodyRoom::new(1_000);
        let [one, two, three]: [Arc<str>; 3] = ["1".into(), "2".into(), "3".into()];
        let mut first = room.begin(&one);
        assert!(first.grow(500).await);
        assert!(!room.begin(&one).grow(1).await, "it has its half");
        let mut second = room.begin(&two);
        assert!(second.grow(250).await);
        assert!(!second.grow(1).await);
        let mut third = room.begin(&three);
        assert!(third.grow(125).await, "the third finds room too");
        drop(first);
        assert!(second.grow(100).await);
        drop((second, third));
        assert!(
            room.held().is_empty(),
            "nothing is kept for who holds nothing"
        );
    }

    #[tokio::test]
    async fn who_waits_goes_on_as_soon_as_there_is_room() {
        let room = BodyRoom::new(1_000);
        let one: Arc<str> = "1".into();
        let mut first = room.begin(&one);
        assert!(first.grow(500).await);
        let mut second = room.begin(&one);
        let (grown, ()) = tokio::join!(second.grow(300), async { drop(first) });
        assert!(grown);
    }
}
