//! Whoever opens a store to another and closes it again; and what must be true of what the other may do.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::program::{now, pause};

use super::site::Asker;

/// How long a right stays as it is, beyond the time for which a gateway need not know of it.
const SPELL: Duration = Duration::from_millis(700);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// From when until when a right may have been given, or not.
struct Spell {
    may_read: bool,
    began: Instant,
    /// Until the change after it was over; as long as that is not so, it may be in force.
    ended: Option<Instant>,
}

/// A store that is opened to somebody and closed again.
pub struct Rights {
    /// The path of what gives him the right.
    access: String,
    /// The path of the record that he wants to read.
    record: String,
    /// How old an answer of a gateway may be that another one has outdated.
    staleness: Duration,
    spells: Mutex<Vec<Spell>>,
    looks: Mutex<Vec<(bool, Instant, Instant)>>,
}

impl Rights {
    /// He may not read at first.
    pub fn to(record: String, access: String, staleness: Duration) -> Self {
        let first = Spell { may_read: false, began: now(), ended: None };
        Self { access, record, staleness, spells: Mutex::new(vec![first]), looks: Mutex::default() }
    }

    /// Gives the right and takes it back until it is over.
    pub fn rule(&self, mut asker: Asker<'_>, is_over: &AtomicBool) {
        let mut may_read = false;
        while !is_over.load(Relaxed) {
            may_read = !may_read;
            self.spells(|spells| spells.push(Spell { may_read, began: now(), ended: None }));
            // A gateway may not come back at all: whoever tries says so, and it is over.
            while !is_over.load(Relaxed) {
                let (method, body) = if may_read { ("PUT", r#"{"right":"read"}"#) } else { ("DELETE", "") };
                let answer = asker.ask(method, &self.access, "content-type: application/json\r\n", body);
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
    pub fn read(&self, mut asker: Asker<'_>, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) {
            let began = now();
            let status = asker.ask("GET", &self.record, "", "").map(|answer| answer.status);
            if let Some(may_read) = status.and_then(|status| match status {
                200 => Some(true),
                401 | 403 | 404 => Some(false),
                _ => None,
            }) {
                self.looks.lock().unwrap_or_else(PoisonError::into_inner).push((may_read, began, now()));
            }
            pause(PAUSE);
        }
    }

    fn spells<T>(&self, work: impl FnOnce(&mut Vec<Spell>) -> T) -> T {
        work(&mut self.spells.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many spells, and how many looks.
    pub fn verify(self) -> Result<(usize, usize), String> {
        let spells = self.spells.into_inner().unwrap_or_else(PoisonError::into_inner);
        let looks = self.looks.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (may_read, began, ended) in &looks {
            let in_force =
                |spell: &&Spell| spell.began <= *ended && spell.ended.is_none_or(|end| end + self.staleness >= *began);
            if !spells.iter().filter(in_force).any(|spell| spell.may_read == *may_read) {
                return Err(format!("whether he may read was told as {may_read} from {began:?} to {ended:?}"));
            }
        }
        Ok((spells.len(), looks.len()))
    }
}
