//! Group commit: one transaction for a batch of changes, with an outcome for each.

use std::{collections::HashSet, path::PathBuf, sync::Arc, thread};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use larder_runtime::clock::{Clock, Timestamp};

use crate::{
    body::etag,
    object::{Attributes, Precondition},
    store::{Error, Result, is_background},
};

use super::{
    blob_deletion::Reaper,
    blob_files::Value,
    committer::Checkpointer,
    disk_reserve::DiskReserve,
    folder::{Folder, sync_folder},
    io_error::{is_index_full, map_io_error, map_sqlite_error},
    rows::{self, Entry, Location},
};

/// Maximum bytes of a value in the object's own row. Reading such an object visits one tree instead of two; larger rows
/// would make a list of keys read many more pages.
const MAX_ROW_VALUE_BYTES: usize = 256;

/// A change to one object, or to many.
#[derive(Debug)]
pub enum Change {
    /// Stores an object.
    Put(NewObject),
    /// Deletes an object.
    Delete {
        /// Key of the object.
        key: String,
        /// Condition of the delete.
        precondition: Precondition,
    },
    /// Deletes all of these objects, or none.
    DeleteMany(Vec<String>),
}

/// An object to be stored.
#[derive(Debug)]
pub struct NewObject {
    /// Key of the object.
    pub key: String,
    /// The bytes.
    pub value: Value,
    /// Size in bytes.
    pub size: u64,
    /// Hash of bytes and attributes.
    pub hash: u128,
    /// Attributes stored beside the bytes.
    pub attributes: Attributes,
    /// Condition of the put.
    pub precondition: Precondition,
}

impl Change {
    /// Returns the approximate maximum of bytes by which the WAL grows.
    pub fn wal_bytes(&self) -> usize {
        /// One page of each table, if rows share no pages.
        const ROW_BYTES: usize = 8192;
        match self {
            Self::Put(NewObject { value: Value::Inline(bytes), .. }) => ROW_BYTES + bytes.len(),
            Self::Put(NewObject { value: Value::File(_), .. }) | Self::Delete { .. } => ROW_BYTES,
            Self::DeleteMany(keys) => ROW_BYTES * keys.len(),
        }
    }

    /// Returns the number of objects that the change touches.
    pub fn objects(&self) -> usize {
        match self {
            Self::Put(_) | Self::Delete { .. } => 1,
            Self::DeleteMany(keys) => keys.len(),
        }
    }

    /// Returns whether it gives way to changes of requests. No caller waits until the last of many objects is gone.
    pub fn is_background(&self) -> bool {
        match self {
            Self::Put(_) | Self::Delete { .. } => is_background(),
            Self::DeleteMany(_) => true,
        }
    }

    fn is_put(&self) -> bool {
        match self {
            Self::Put(_) => true,
            Self::Delete { .. } | Self::DeleteMany(_) => false,
        }
    }
}

/// A change, and the sender for its outcome: the time of the change.
#[derive(Debug)]
pub struct PendingWrite {
    /// The change.
    pub change: Change,
    /// Sender for the outcome.
    pub reply: oneshot::Sender<Result<Timestamp>>,
}

/// Commits batches of changes, each with one sync.
#[derive(Debug)]
pub struct WriteBatcher {
    /// The only connection that writes.
    pub connection: Connection,
    /// The data folder.
    pub folder: Arc<Folder>,
    /// Source of the time of a write.
    pub clock: Arc<dyn Clock>,
    /// Deletes the files of replaced objects.
    pub reaper: Arc<Reaper>,
    /// Reserve for a full disk.
    pub reserve: DiskReserve,
    /// The thread that checkpoints the WAL beside writes.
    pub checkpointer: Checkpointer,
}

/// The result of a transaction: an outcome for each change, and files that are no longer referenced.
struct CommittedBatch {
    outcomes: Vec<Result<Timestamp>>,
    freed: Vec<i64>,
}

impl WriteBatcher {
    /// Makes the changes of `requests`, in order, and answers each. If their common transaction fails, each is tried
    /// alone, so that one failing change does not affect the others.
    pub fn commit(&mut self, requests: Vec<PendingWrite>) {
        if self.folder.check().is_err() {
            return self.reject_all(requests);
        }
        let is_writable = self.reserve.is_held() || {
            let _paused = self.checkpointer.pause();
            self.reserve.try_refill(&self.connection, self.clock.monotonic())
        };
        let requests = publish_blobs(if is_writable { requests } else { reject_puts(requests) });
        let changes: Vec<&Change> = requests.iter().map(|request| &request.change).collect();
        match self.run_transaction(&changes) {
            Ok(committed) => self.finish(requests, committed),
            Err(error) => {
                tracing::warn!(%error, changes = requests.len(), "a transaction failed; retrying each change alone");
                let is_writable = !is_index_full(&error) || self.consume_reserve();
                for request in if is_writable { requests } else { reject_puts(requests) } {
                    self.commit_alone(request);
                }
            }
        }
    }

    /// Makes one change. One that needs no lasting space may use the reserve.
    fn commit_alone(&mut self, request: PendingWrite) {
        let mut committed = self.run_transaction(&[&request.change]);
        if committed.as_ref().is_err_and(is_index_full) && !request.change.is_put() {
            self.consume_reserve();
            committed = self.run_transaction(&[&request.change]);
        }
        match committed {
            Ok(committed) => self.finish(vec![request], committed),
            Err(error) => reject(request, map_sqlite_error(error)),
        }
    }

    fn consume_reserve(&mut self) -> bool {
        let _paused = self.checkpointer.pause();
        self.reserve.consume(&self.connection)
    }

    fn run_transaction(&mut self, changes: &[&Change]) -> rusqlite::Result<CommittedBatch> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = self.clock.now();
        let mut freed = Vec::new();
        let outcomes = changes
            .iter()
            .map(|change| Ok(apply(&transaction, change, now, &mut freed)?.map(|()| now)))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        transaction.commit()?;
        Ok(CommittedBatch { outcomes, freed })
    }

    /// Rejects changes while the folder is lost.
    fn reject_all(&self, requests: Vec<PendingWrite>) {
        for request in requests {
            let lost = self.folder.check().err();
            reject(request, lost.unwrap_or_else(|| Error::Unavailable("the data folder was lost for a moment".into())));
        }
    }

    fn finish(&mut self, requests: Vec<PendingWrite>, committed: CommittedBatch) {
        // Between the check before the transaction and this one, the change may have gone into a folder that is no
        // longer at its path.
        if self.folder.check().is_err() {
            return self.reject_all(requests);
        }
        if requests.iter().any(|request| !request.change.is_put()) {
            self.reserve.hint_freed();
        }
        for number in committed.freed {
            self.reaper.delete_blob(number);
        }
        for (mut request, outcome) in requests.into_iter().zip(committed.outcomes) {
            if let (Change::Put(NewObject { value: Value::File(file), .. }), Ok(_)) = (&mut request.change, &outcome) {
                file.disarm();
            }
            reply(request, outcome);
        }
    }
}

/// Fails the puts, whose files are removed, and returns the rest.
fn reject_puts(requests: Vec<PendingWrite>) -> Vec<PendingWrite> {
    let (puts, others): (Vec<_>, _) = requests.into_iter().partition(|request| request.change.is_put());
    for request in puts {
        reply(request, Err(Error::Full("the disk of the data folder is full".into())));
    }
    others
}

/// Files must be in place durably before the index refers to them.
fn publish_blobs(mut requests: Vec<PendingWrite>) -> Vec<PendingWrite> {
    let mut errors: Vec<Option<Error>> = Vec::with_capacity(requests.len());
    let mut folders: HashSet<PathBuf> = HashSet::new();
    for request in &mut requests {
        let placed = match &mut request.change {
            Change::Put(NewObject { value: Value::File(file), .. }) => file.publish().map(Some),
            Change::Put(_) | Change::Delete { .. } | Change::DeleteMany(_) => Ok(None),
        };
        errors.push(match placed {
            Ok(folder) => {
                folders.extend(folder);
                None
            }
            Err(error) => Some(map_io_error(error)),
        });
    }
    if let Some(error) = folders.iter().find_map(|folder| sync_folder(folder).err()) {
        tracing::error!(%error, "cannot sync a folder of files");
        for (request, error_of) in requests.iter().zip(&mut errors) {
            if matches!(&request.change, Change::Put(NewObject { value: Value::File(_), .. })) {
                *error_of = Some(Error::Unavailable("cannot sync a folder of files".into()));
            }
        }
    }
    let mut placed = Vec::with_capacity(requests.len());
    for (request, error_of) in requests.into_iter().zip(errors) {
        match error_of {
            None => placed.push(request),
            Some(error) => reply(request, Err(error)),
        }
    }
    placed
}

/// Answers the caller, who may be gone; the change is committed all the same.
fn reply(request: PendingWrite, outcome: Result<Timestamp>) {
    let _ = request.reply.send(outcome);
}

/// Rejects a change without an effect. If the WAL could not be synced, a crash might still bring it to light: then the
/// file must stay until the next start has checked.
fn reject(mut request: PendingWrite, error: Error) {
    if let (Change::Put(NewObject { value: Value::File(file), .. }), Error::Unavailable(_)) =
        (&mut request.change, &error)
    {
        file.disarm();
    }
    reply(request, Err(error));
}

/// Makes one change inside a transaction. The inner error leaves nothing behind; the outer one aborts the transaction.
fn apply(
    connection: &Connection,
    change: &Change,
    now: Timestamp,
    freed: &mut Vec<i64>,
) -> rusqlite::Result<Result<()>> {
    match change {
        Change::Put(object) => put(connection, object, now, freed),
        Change::Delete { key, precondition } => {
            let current = rows::find_current(connection, key)?;
            if !holds(precondition, current) {
                return Ok(Err(Error::Precondition));
            }
            delete(connection, key, current, freed).map(Ok)
        }
        Change::DeleteMany(keys) => {
            for key in keys {
                let current = rows::find_current(connection, key)?;
                delete(connection, key, current, freed)?;
                // Threads that wait for the processor are more urgent.
                thread::yield_now();
            }
            Ok(Ok(()))
        }
    }
}

fn put(
    connection: &Connection,
    object: &NewObject,
    now: Timestamp,
    freed: &mut Vec<i64>,
) -> rusqlite::Result<Result<()>> {
    let current = rows::find_current(connection, &object.key)?;
    if !holds(&object.precondition, current) {
        return Ok(Err(Error::Precondition));
    }
    let old = current.map_or(Location::Empty, |(_, location)| location);
    let (location, row_value) = match (&object.value, old) {
        (Value::Inline(bytes), _) if bytes.is_empty() => (Location::Empty, None),
        (Value::Inline(bytes), _) if bytes.len() <= MAX_ROW_VALUE_BYTES => (Location::Row, Some(bytes.as_ref())),
        (Value::Inline(bytes), Location::Inline(id)) => {
            rows::update_inline_value(connection, id, bytes)?;
            (old, None)
        }
        (Value::Inline(bytes), _) => (Location::Inline(rows::insert_inline_value(connection, bytes)?), None),
        (Value::File(file), _) => {
            rows::insert_blob(connection, file.number())?;
            (Location::Blob(file.number()), None)
        }
    };
    if location != old {
        free(connection, old, freed)?;
    }
    let (size, hash, attributes) = (object.size, object.hash, object.attributes.clone());
    let entry = Entry { size, hash, last_modified: now, attributes, location };
    rows::write_entry(connection, &object.key, &entry, row_value)?;
    Ok(Ok(()))
}

fn delete(
    connection: &Connection,
    key: &str,
    current: Option<(u128, Location)>,
    freed: &mut Vec<i64>,
) -> rusqlite::Result<()> {
    let Some((_, location)) = current else { return Ok(()) };
    free(connection, location, freed)?;
    rows::delete_entry(connection, key)
}

fn free(connection: &Connection, location: Location, freed: &mut Vec<i64>) -> rusqlite::Result<()> {
    match location {
        Location::Empty | Location::Row => Ok(()),
        Location::Inline(id) => rows::delete_inline_value(connection, id),
        Location::Blob(number) => {
            freed.push(number);
            rows::delete_blob(connection, number)
        }
    }
}

fn holds(precondition: &Precondition, current: Option<(u128, Location)>) -> bool {
    match precondition {
        Precondition::None => true,
        Precondition::IfAbsent => current.is_none(),
        Precondition::IfMatch(wanted) => current.is_some_and(|(hash, _)| etag(hash) == *wanted),
    }
}
