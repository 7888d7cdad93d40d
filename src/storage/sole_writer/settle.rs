//! What becomes of a write whose answer was lost.
//!
//! First a look: if what was sent once is there, it has arrived and cannot arrive again. Else the same is sent again until
//! there is an answer. The answer tells what the object is now, but one of the two may still be under way: only a
//! look settles without a doubt.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    clock::Clock,
    storage::error::{Error, Result, leaves_open},
};

/// The most bytes of a body that is kept for being sent again: documents, claims, small records.
pub const MAX_REPEATED_BYTES: u64 = 1024 * 1024;

/// How long a write is tried to be settled.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The pause before the second attempt; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A write that does the same however often it is made.
#[async_trait]
pub trait Attempt: Sync {
    /// What it answers.
    type Outcome: Send;

    /// Makes it.
    async fn write(&self) -> Result<Self::Outcome>;

    /// Looks whether the only one that was made has arrived: what it would have answered; `None` if it has not, or if
    /// that cannot be told.
    async fn landed(&self) -> Result<Option<Self::Outcome>>;
}

/// What is known of a write at last.
#[derive(Debug)]
pub struct Settled<T> {
    /// Its answer; [`Error::Timeout`] and [`Error::Unavailable`] where there is none.
    pub answer: Result<T>,
    /// Whether something of it may still arrive.
    pub is_in_doubt: bool,
}

/// Makes an attempt, again and again while its answer is lost.
pub async fn settle<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Settled<A::Outcome> {
    let answer = attempt.write().await;
    if !leaves_open(&answer) {
        return Settled { answer, is_in_doubt: false };
    }
    let settled = async {
        match look(clock, attempt).await {
            Some(landed) => Settled { answer: Ok(landed), is_in_doubt: false },
            None => Settled { answer: repeat(clock, attempt).await, is_in_doubt: true },
        }
    };
    tokio::select! {
        settled = settled => settled,
        () = clock.sleep(PATIENCE) => Settled { answer, is_in_doubt: true },
    }
}

/// Whether what was sent has arrived, as soon as that can be told.
async fn look<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Option<A::Outcome> {
    let mut pauses = Pauses::default();
    loop {
        match attempt.landed().await {
            Ok(landed) => return landed,
            Err(_) => clock.sleep(pauses.next()).await,
        }
    }
}

/// Sends the same until there is an answer. A refusal is one of this attempt alone: the one before may still happen.
async fn repeat<A: Attempt>(clock: &dyn Clock, attempt: &A) -> Result<A::Outcome> {
    let mut pauses = Pauses::default();
    loop {
        clock.sleep(pauses.next()).await;
        match attempt.write().await {
            Err(Error::Timeout | Error::Unavailable(_) | Error::Throttled { .. }) => {}
            Err(refusal) => return Err(Error::Unavailable(refusal.into())),
            Ok(outcome) => return Ok(outcome),
        }
    }
}

/// Pauses between attempts; their number is limited by [`PATIENCE`].
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (2 * pause).min(LONGEST_PAUSE);
        pause
    }
}
