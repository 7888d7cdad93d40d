//! Idle connections, each kept in the runtime that created it: that runtime wakes its socket, and a task in another one
//! would need a second wake-up.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foldhash::quality::RandomState;
use tokio::runtime;

use super::{
    connection::{Connection, Idle},
    target::Target,
};

/// Maximum number of idle connections to one server in one runtime.
const KEPT: usize = 512;

/// Connections by their runtime and their server, longest idle first.
type Waiting = HashMap<runtime::Id, HashMap<Target, Vec<Idle>, RandomState>, RandomState>;

/// Idle connections.
#[derive(Debug)]
pub struct Pool {
    idle_limit: Duration,
    idle: Mutex<Waiting>,
}

impl Pool {
    /// Returns an empty pool, whose connections are idle for at most `idle_limit`.
    pub fn new(idle_limit: Duration) -> Self {
        Self { idle_limit, idle: Mutex::default() }
    }

    /// Takes the most recently used connection of this runtime, if one is still good.
    pub fn take(&self, target: &Target, now: Duration) -> Option<Connection> {
        loop {
            let Idle { connection, since } = self.lock().get_mut(&here()?)?.get_mut(target)?.pop()?;
            if now.saturating_sub(since) < self.idle_limit && !connection.is_spent() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection after a successful exchange.
    pub fn put(&self, connection: Connection, now: Duration) {
        let Some(here) = here() else { return };
        let mut idle = self.lock();
        let idle = idle.entry(here).or_default();
        if let Some(waiting) = idle.get_mut(&connection.target) {
            if waiting.len() < KEPT {
                waiting.push(Idle { connection, since: now });
            }
        } else {
            idle.insert(connection.target.clone(), vec![Idle { connection, since: now }]);
        }
    }

    /// Closes connections that were idle for too long.
    pub fn prune(&self, now: Duration) {
        let mut old = Vec::new();
        let mut idle = self.lock();
        for waiting in idle.values_mut().flat_map(HashMap::values_mut) {
            let count = waiting.iter().take_while(|idle| now.saturating_sub(idle.since) >= self.idle_limit).count();
            old.extend(waiting.drain(..count));
        }
        idle.retain(|_, of_runtime| {
            of_runtime.retain(|_, waiting| !waiting.is_empty());
            !of_runtime.is_empty()
        });
        drop(idle);
        // Closed after the lock is released.
        drop(old);
    }

    /// Returns the maximum idle time of a connection.
    pub fn idle_limit(&self) -> Duration {
        self.idle_limit
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the current runtime; `None` if a body is dropped outside of any.
fn here() -> Option<runtime::Id> {
    runtime::Handle::try_current().ok().map(|handle| handle.id())
}
