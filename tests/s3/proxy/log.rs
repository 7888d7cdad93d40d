//! The requests that came over the wire.

use std::sync::{Mutex, PoisonError};

use super::head::Head;

/// A request, as the gateway sent it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// On which of the gateway's connections, from 1.
    pub(crate) connection: u64,
    pub(crate) method: String,
    /// As it was sent: escaped, without the query.
    pub(crate) path: String,
    /// As it was sent, without the question mark; empty when there is none.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Creates the log entry of a head.
    pub(crate) fn of(head: &Head, connection: u64) -> Self {
        let target = head.word(1);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            connection,
            method: head.word(0).to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: head.headers().to_vec(),
        }
    }

    /// Returns the value of a header, its name given in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All of them, in the order in which their heads came.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Request>>);

impl Log {
    /// Adds one.
    pub(crate) fn add(&self, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// Returns all since the last time they were taken.
    pub(crate) fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same, and forgets them.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
