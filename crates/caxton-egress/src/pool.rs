//! Connections that wait for the next request to their origin.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    EgressOptions,
    link::Link,
    target::Origin,
    tasks::{Task, start},
};

/// Idle HTTP/1.1 connections, and HTTP/2 connections in use or not.
pub(crate) struct Pool {
    kept: Mutex<Kept>,
    max: usize,
    per_origin_max: usize,
    time: Duration,
}

#[derive(Default)]
struct Kept {
    origins: HashMap<Origin, Vec<Idle>>,
    count: usize,
    /// True while a task closes what was idle too long.
    is_watched: bool,
}

struct Idle {
    link: Link,
    /// Timestamp of the last use.
    since: Instant,
}

impl Pool {
    pub(crate) fn new(options: &EgressOptions) -> Self {
        Self {
            kept: Mutex::default(),
            max: options.idle_max,
            per_origin_max: options.idle_per_origin_max,
            time: options.idle_time,
        }
    }

    /// The addresses that connections to this origin lead to. `None` stands for one that only a
    /// proxy knows.
    pub(crate) fn addresses(&self, origin: &Origin) -> Vec<Option<SocketAddr>> {
        let kept = self.lock();
        let mut addresses = Vec::new();
        for idle in kept.origins.get(origin).into_iter().flatten() {
            if !addresses.contains(&idle.link.address()) {
                addresses.push(idle.link.address());
            }
        }
        addresses
    }

    /// A connection to this origin at this address: the one that was used last, since the server is
    /// least likely to have closed it.
    pub(crate) fn take(&self, origin: &Origin, address: Option<SocketAddr>) -> Option<Link> {
        let mut kept = self.lock();
        let Kept { origins, count, .. } = &mut *kept;
        let idle = origins.get_mut(origin)?;
        let now = Instant::now();
        let fresh = |idle: &Idle| now.saturating_duration_since(idle.since) < self.time;
        let at = idle
            .iter()
            .rposition(|idle| idle.link.address() == address && fresh(idle))?;
        let found = idle.get_mut(at)?;
        if let Some(shared) = found.link.shared() {
            found.since = now;
            return Some(shared);
        }
        *count -= 1;
        Some(idle.remove(at).link)
    }

    /// Keeps a connection for the next request. Where there are too many, the one that was idle
    /// longest is closed.
    pub(crate) fn keep(self: &Arc<Self>, origin: &Origin, link: Link) {
        let since = Instant::now();
        let mut kept = self.lock();
        if self.max == 0 || self.per_origin_max == 0 {
            return;
        }
        let of_origin = kept.origins.get(origin).map_or(0, Vec::len);
        if of_origin >= self.per_origin_max {
            kept.close_oldest(Some(origin));
        } else if kept.count >= self.max {
            kept.close_oldest(None);
        }
        let idle = kept.origins.entry(origin.clone()).or_default();
        idle.push(Idle { link, since });
        kept.count += 1;
        if !kept.is_watched {
            kept.is_watched = true;
            self.watch();
        }
    }

    /// Takes an HTTP/2 connection out that can't be used any more.
    pub(crate) fn forget_closed(&self, origin: &Origin) {
        self.lock()
            .retain(Some(origin), |idle| !idle.link.is_closed());
    }

    /// Closes what was idle too long, and answers when to look again; `None` if nothing is left.
    fn close_expired(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.retain(None, |idle| {
            now.saturating_duration_since(idle.since) < self.time && !idle.link.is_closed()
        });
        let all = kept.origins.values().flatten();
        let next = all.map(|idle| idle.since + self.time).min();
        kept.is_watched = next.is_some();
        next
    }

    fn watch(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        let mut next = Instant::now() + self.time;
        start(Task::IdleConnections, async move {
            loop {
                tokio::time::sleep_until(next).await;
                let Some(pool) = pool.upgrade() else { return };
                let Some(later) = pool.close_expired() else {
                    return;
                };
                next = later;
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn retain(&mut self, only: Option<&Origin>, mut keeps: impl FnMut(&Idle) -> bool) {
        self.origins.retain(|origin, idle| {
            if only.is_none_or(|only| only == origin) {
                idle.retain(&mut keeps);
            }
            !idle.is_empty()
        });
        self.count = self.origins.values().map(Vec::len).sum();
    }

    fn close_oldest(&mut self, only: Option<&Origin>) {
        let oldest = self
            .origins
            .iter()
            .filter(|(origin, _)| only.is_none_or(|only| only == *origin))
            .flat_map(|(_, idle)| idle)
            .map(|idle| idle.since)
            .min();
        let mut is_closed = false;
        self.retain(only, |idle| {
            let closes = !is_closed && Some(idle.since) == oldest;
            is_closed |= closes;
            !closes
        });
    }
}
