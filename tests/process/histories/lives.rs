//! Clients that create unnamed stores and wait for their end: a record is there to the instant, and not a moment
//! longer.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use crate::program::pause;

use super::clients::Caller;

/// Lifetime of a store.
const LIFE: Duration = Duration::from_secs(5);

/// The end is written down ahead, by a step of its life at most.
const STEPS: u32 = 60;

/// Distance to the end of a store's life within which a response proves nothing: the possible error of the object
/// store's clock.
const SLACK: Duration = Duration::from_millis(1500);

/// Interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Observations of lives.
#[derive(Default)]
pub struct Lives {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    lives: usize,
    looks: usize,
    wrong: Vec<String>,
}

impl Lives {
    /// Works until it is over.
    pub fn work(&self, mut caller: Caller<'_>, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) {
            if let Some((path, end)) = begin(&mut caller) {
                self.watch(&mut caller, &path, &end, is_over);
            }
        }
    }

    fn watch(&self, caller: &mut Caller<'_>, path: &str, end: &Range<SystemTime>, is_over: &AtomicBool) {
        while !is_over.load(Relaxed) && now() < end.end + LIFE {
            let began = now();
            let answer = caller.ask("GET", &format!("{path}/records/k"), "", "");
            let ended = now();
            let wrong = match answer.map(|answer| answer.status) {
                Some(200) => began > end.end + SLACK,
                Some(404) => ended + SLACK < end.start,
                _ => false,
            };
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.looks += 1;
            if wrong {
                seen.wrong
                    .push(format!("{path}: its end was in {end:?}, and it was asked for from {began:?} to {ended:?}"));
            }
            drop(seen);
            pause(POLL_INTERVAL);
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).lives += 1;
    }

    /// Returns the number of lives, and of looks.
    pub fn verify(self) -> Result<(usize, usize), String> {
        let Seen { lives, looks, wrong } = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        wrong.into_iter().next().map_or(Ok((lives, looks)), Err)
    }
}

/// Returns a store with a record, and between what moments it ends; nothing if anything of that was not answered.
fn begin(caller: &mut Caller<'_>) -> Option<(String, Range<SystemTime>)> {
    let days = LIFE.as_secs_f64() / 86_400.0;
    let json = "content-type: application/json\r\n";
    let made = caller.ask("POST", "/v2/key-value-stores", json, &format!("{{\"retentionDays\":{days:.9}}}"))?;
    if made.status >= 429 {
        return None;
    }
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/v2/key-value-stores/{}", made.data("id")?);
    let began = now();
    let put = caller.ask("PUT", &format!("{path}/records/k"), "content-type: text/plain\r\n", "here")?;
    (put.status == 201).then(|| (path, began + LIFE..now() + LIFE + LIFE / STEPS))
}

#[expect(clippy::disallowed_methods, reason = "another process's time cannot be injected")]
fn now() -> SystemTime {
    SystemTime::now()
}
