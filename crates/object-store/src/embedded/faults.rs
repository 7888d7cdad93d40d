//! Maps failures of the disk and of the index to storage errors.

use std::io;

use rusqlite::{ErrorCode, ffi::SQLITE_IOERR_SHMSIZE};
use tokio::task::JoinError;

use super::super::error::Error;

/// Returns whether `error` means that the disk is full.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Maps a failure to read or write a file.
pub fn file_fault(error: io::Error) -> Error {
    if is_full(&error) { Error::Full(error.into()) } else { Error::Unavailable(error.into()) }
}

/// Returns whether the index reports a full disk. It has another error for its shared memory, which is a file, too,
/// that cannot grow.
pub fn is_index_full(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.code == ErrorCode::DiskFull || error.extended_code == SQLITE_IOERR_SHMSIZE)
}

/// Maps a failure of the index.
pub fn index_fault(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        _ if is_index_full(&error) => Error::Full(error.into()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt(format!("the index: {error}")),
        _ => Error::Unavailable(error.into()),
    }
}

/// Maps the failure of blocking work: the runtime is shutting down, or the work panicked.
pub fn work_fault(error: JoinError) -> Error {
    Error::Unavailable(error.into())
}

/// Returns the error of a closed engine, or of one whose committing thread is gone.
pub fn closed() -> Error {
    Error::Unavailable("the embedded engine is closed".into())
}
