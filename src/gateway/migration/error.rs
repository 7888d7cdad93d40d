//! Errors of migrations, and retries of failed calls to an object store: a migration takes hours, and temporary
//! failures are to be expected.

use std::{fmt::Write, io, time::Duration};

use crate::{
    clock::Clock,
    kv::{FormatError, JournalError, JsonError},
    storage::{self, BodyError, Error},
};

use super::super::{bootstrap::AdminTokenError, start::StartError};

/// A migration failed. The source is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Only one end is configured.
    #[error(
        "no bucket is configured: LARDER_S3_BUCKET names the one to migrate to or from, LARDER_DATA the data folder"
    )]
    NoBucket,
    /// The source cannot be opened.
    #[error("cannot open the source, {name}")]
    Source {
        /// Description of the source.
        name: String,
        /// Reason.
        #[source]
        cause: Box<StartError>,
    },
    /// The destination cannot be opened.
    #[error("cannot open the destination, {name}")]
    Destination {
        /// Description of the destination.
        name: String,
        /// Reason.
        #[source]
        cause: Box<StartError>,
    },
    /// The data folder cannot be read.
    #[error("cannot read {name}")]
    Unreadable {
        /// Description of the folder.
        name: String,
        /// Reason.
        #[source]
        cause: io::Error,
    },
    /// No installation is at the source.
    #[error("there is no installation in {name}")]
    NothingThere {
        /// Description of the source.
        name: String,
    },
    /// The source has the format of another version.
    #[error("cannot use what is in {name}")]
    Format {
        /// Description of the source.
        name: String,
        /// Reason.
        #[source]
        cause: FormatError,
    },
    /// A gateway serves from the source.
    #[error("a gateway serves from {name}: its record of the time has changed just now; stop every gateway first")]
    InUse {
        /// Description of the source.
        name: String,
    },
    /// The source was written during the migration.
    #[error(
        "{name} was in use during the migration: stop every gateway there and run the same command again, which copies \
         everything anew"
    )]
    SourceChanged {
        /// Description of the source.
        name: String,
    },
    /// The source holds an object that does not belong to an installation of this version.
    #[error(
        "{name} holds {key}, which this version does not know and would leave behind: remove it, or use a newer version"
    )]
    UnknownObject {
        /// Description of the source.
        name: String,
        /// The key of the object.
        key: String,
    },
    /// The destination holds other data.
    #[error("{name} is not empty: it holds {key}, and no migration to it is unfinished")]
    NotEmpty {
        /// Description of the destination.
        name: String,
        /// The key of one of its objects.
        key: String,
    },
    /// A migration from another source was begun.
    #[error("{name} holds a part of {from}: finish that migration, or remove everything that it has written")]
    OtherSource {
        /// Description of the destination.
        name: String,
        /// Description of the other source.
        from: String,
    },
    /// Objects cannot be listed.
    #[error("cannot list what is below {prefix}")]
    List {
        /// Prefix of their keys.
        prefix: String,
        /// Reason.
        #[source]
        cause: storage::Error,
    },
    /// An object cannot be read or written.
    #[error("cannot copy {key}")]
    Object {
        /// Its key.
        key: String,
        /// Reason.
        #[source]
        cause: storage::Error,
    },
    /// The destination differs from the source.
    #[error("{}", differences(*count, examples))]
    Differs {
        /// Number of objects that differ.
        count: u64,
        /// Some of them, each with its difference.
        examples: Vec<String>,
    },
    /// A document cannot be read.
    #[error(transparent)]
    Document(#[from] JsonError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The admin token cannot be moved.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
}

fn differences(count: u64, examples: &[String]) -> String {
    let mut text =
        format!("{count} objects are not what they are in the source; the same command copies everything anew");
    for example in examples {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}", example.escape_debug());
    }
    text
}

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
