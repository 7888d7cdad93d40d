//! What a failure of the disk or of the index means to whoever asked for an object.

use std::io;

use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
use tokio::task::JoinError;

use super::super::error::Error;

/// Whether `error` says that there is no room.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The meaning of a failure to read or write a file.
pub fn file_fault(error: io::Error) -> Error {
    if is_full(&error) { Error::Full(error.into()) } else { Error::Unavailable(error.into()) }
}

/// Whether the index says that there is no room. It says so in another way where its shared memory, a file too, should
/// have grown.
pub fn is_index_full(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.code == ErrorCode::DiskFull || error.extended_code == SQLITE_IOERR_SHMSIZE)
}

/// The meaning of a failure of the index.
pub fn index_fault(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        _ if is_index_full(&error) => Error::Full(error.into()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(format!("the index: {error}")),
        _ => Error::Unavailable(error.into()),
    }
}

/// The meaning of work off the async threads that did not end: the runtime is going away, or the work panicked.
pub fn work_fault(error: JoinError) -> Error {
    Error::Unavailable(error.into())
}

/// The engine was closed, or its committing thread is gone.
pub fn closed() -> Error {
    Error::Unavailable("the embedded engine is closed".into())
}
