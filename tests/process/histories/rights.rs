//! A client that opens a store to another user and closes it again, and the checks of what that user may do.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::program::{now, pause};

use super::clients::Caller;

/// Duration for which a right stays as it is, beyond the staleness bound of a gateway.
const SPELL: Duration = Duration::from_millis(700);

/// Interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// From when until when a right may have been given, or not.
struct Spell {
    may_read: bool,
    began: Instant,
    /// Until the change after it was over; as long as that is not so, it may be in force.
    ended: Option<Instant>,
}

/// A store that is opened to a user and closed again.
pub struct Rights {
    /// Path of the user's right.
    access: String,
    /// Path of the record that the user reads.
    record: String,
    /// Maximum age of a gateway's response after a change through another gateway.
    staleness: Duration,
    spells: Mutex<Vec<Spell>>,
    looks: Mutex<Vec<(bool, Instant, Instant)>>,
}

impl Rights {
    /// Starts with a user who may not read.
    pub fn to(record: String, access: String, staleness: Duration) -> Self {
        let first = Spell { may_read: false, began: now(), ended: None };
        Self { access, record, staleness, spells: Mutex::new(vec![first]), looks: Mutex::default() }
    }

    /// Gives the right and takes it back until it is over.
    pub fn rule(&self, mut caller: Caller<'_>, is_over: &AtomicBool) {
        let mut may_read = false;
        while !is_over.load(Relaxed) {
            may_read = !may_read;
            self.spells(|spells| spells.push(Spell { may_read, began: now(), ended: None }));
            // A gateway may not come back at all: the thread that restarts it reports so, and the history is over.
            while !is_over.load(Relaxed) {
                let (method, body) = if may_read { ("PUT", r#"{"right":"read"}"#) } else { ("DELETE", "") };
                let answer = caller.ask(method, &self.access, "content-type: application/json\r\n", body);
                match answer.map(|answer| (answer.status, answer.text)) {
                    // Taking back what an attempt has taken back whose answer was lost.
                    Some((200..=299 | 404, _)) => break,
                    None | Some((429 | 500.., _)) => {}
                    Some((status, text)) => panic!("{method} {}: {status} {text}", self.access),
                }
            }
            self.spells(|spells| {
                let before = spells.len() - 1;
                spells[..before].iter_mut().filter(|spell| spell.ended.is_none()).for_each(|spell| {
                    spell.ended = Some(now());
                });
            });
            pause(self.staleness + SPELL);
        }
    }

    /// Reads until it is over.
    pub fn read(&self, mut caller: Caller<'_>, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) {
            let began = now();
            let status = caller.ask("GET", &self.record, "", "").map(|answer| answer.status);
            if let Some(may_read) = status.and_then(|status| match status {
                200 => Some(true),
                401 | 403 | 404 => Some(false),
                _ => None,
            }) {
                self.looks.lock().unwrap_or_else(PoisonError::into_inner).push((may_read, began, now()));
            }
            pause(POLL_INTERVAL);
        }
    }

    fn spells<T>(&self, work: impl FnOnce(&mut Vec<Spell>) -> T) -> T {
        work(&mut self.spells.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of spells, and of looks.
    pub fn verify(self) -> Result<(usize, usize), String> {
        let spells = self.spells.into_inner().unwrap_or_else(PoisonError::into_inner);
        let looks = self.looks.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (may_read, began, ended) in &looks {
            let in_force =
                |spell: &&Spell| spell.began <= *ended && spell.ended.is_none_or(|end| end + self.staleness >= *began);
            if !spells.iter().filter(in_force).any(|spell| spell.may_read == *may_read) {
                return Err(format!("the right to read was reported as {may_read} from {began:?} to {ended:?}"));
            }
        }
        Ok((spells.len(), looks.len()))
    }
}
