//! Connections that wait for their next exchange.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    connection::{Connection, Idle},
    target::Target,
};

/// The most connections that wait for one server.
const KEPT: usize = 512;

/// Waiting connections by their server, those that waited longest first.
#[derive(Debug)]
pub struct Pool {
    idle_limit: Duration,
    idle: Mutex<HashMap<Target, Vec<Idle>>>,
}

impl Pool {
    /// An empty pool, whose connections wait for at most `idle_limit`.
    pub fn new(idle_limit: Duration) -> Self {
        Self { idle_limit, idle: Mutex::default() }
    }

    /// The connection that was used last, if one is still good.
    pub fn take(&self, target: &Target, now: Duration) -> Option<Connection> {
        loop {
            let Idle { connection, since } = self.lock().get_mut(target)?.pop()?;
            if now.saturating_sub(since) < self.idle_limit && !connection.is_spent() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection on which an exchange has ended well.
    pub fn put(&self, connection: Connection, now: Duration) {
        let mut idle = self.lock();
        if let Some(waiting) = idle.get_mut(&connection.target) {
            if waiting.len() < KEPT {
                waiting.push(Idle { connection, since: now });
            }
        } else {
            idle.insert(connection.target.clone(), vec![Idle { connection, since: now }]);
        }
    }

    /// Closes what has waited too long.
    pub fn prune(&self, now: Duration) {
        let mut old = Vec::new();
        let mut idle = self.lock();
        for waiting in idle.values_mut() {
            let count = waiting.iter().take_while(|idle| now.saturating_sub(idle.since) >= self.idle_limit).count();
            old.extend(waiting.drain(..count));
        }
        idle.retain(|_, waiting| !waiting.is_empty());
        drop(idle);
        // Closed behind the lock.
        drop(old);
    }

    /// How long a connection may wait.
    pub fn idle_limit(&self) -> Duration {
        self.idle_limit
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
