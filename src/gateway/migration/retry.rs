//! Retries of failed calls to an object store: a migration takes hours, and temporary failures are to be expected.

use std::time::Duration;

use crate::{
    clock::Clock,
    storage::{self, BodyError, Error},
};

/// Maximum number of attempts.
const MAX_ATTEMPTS: u32 = 6;

/// Pause before the second attempt; each further one doubles it.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Runs an attempt, and retries it with exponential backoff while its error is temporary.
pub(super) async fn with_retry<T>(
    clock: &dyn Clock,
    attempt: impl AsyncFn() -> storage::Result<T>,
) -> storage::Result<T> {
    let mut pause = FIRST_RETRY_DELAY;
    for _ in 1..MAX_ATTEMPTS {
        match attempt().await {
            Err(error) if is_transient(&error) => {
                tracing::warn!(%error, ?pause, "the object store failed, retrying");
                clock.sleep(pause).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    attempt().await
}

fn is_transient(error: &Error) -> bool {
    match error {
        Error::Throttled { .. } | Error::Timeout | Error::Unavailable(_) => true,
        Error::Body(error) => matches!(error, BodyError::Storage(_) | BodyError::Aborted | BodyError::Stalled),
        Error::NotFound
        | Error::Precondition
        | Error::RangeNotSatisfiable { .. }
        | Error::Full(_)
        | Error::Corrupt(_)
        | Error::Fenced(_)
        | Error::Rejected { .. }
        | Error::Unsupported(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use crate::clock::{ManualClock, Timestamp};

    use super::*;

    #[tokio::test]
    async fn what_may_go_by_is_tried_again_and_nothing_else() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let (attempts, driver) = (Cell::new(0), Arc::clone(&clock));
        let attempt = async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err(Error::Timeout) } else { Ok(attempts.get()) }
        };
        let time = async {
            for _ in 0..20 {
                driver.advance(FIRST_RETRY_DELAY);
                tokio::task::yield_now().await;
            }
        };
        let (answer, ()) = tokio::join!(with_retry(clock.as_ref(), attempt), time);
        assert_eq!(answer.expect("the third attempt"), 3);
        attempts.set(0);
        let refused = with_retry(clock.as_ref(), async || -> storage::Result<()> {
            attempts.set(attempts.get() + 1);
            Err(Error::Full("no room".into()))
        });
        assert!(matches!(refused.await, Err(Error::Full(_))));
        assert_eq!(attempts.get(), 1);
    }
}
