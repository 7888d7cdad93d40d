//! Group commit: one transaction for a batch of changes, with an outcome for each.

use std::{collections::HashSet, path::PathBuf, sync::Arc, thread};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use larder_runtime::clock::{Clock, Timestamp};

use crate::{
    content_hash::etag,
    error::{Error, Result},
    object::{Attributes, Precondition},
    store::is_background,
};

use super::{
    blob_deletion::Reaper,
    blob_files::Value,
    committer::Checkpointer,
    disk_reserve::Room,
    folder::{Folder, sync_folder},
    io_error::{file_fault, index_fault, is_index_full},
    rows::{self, Entry, Place},
};

/// Maximum bytes of a value in the object's own row. Reading such an object visits one tree instead of two; larger rows
/// would make a list of keys read many more pages.
const ROW_LIMIT: usize = 256;

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
    /// Returns the approximate maximum of bytes by which the log grows.
    pub fn weight(&self) -> usize {
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
pub struct Request {
    /// The change.
    pub change: Change,
    /// Sender for the outcome.
    pub answer: oneshot::Sender<Result<Timestamp>>,
}

/// Commits batches of changes, each with one sync.
#[derive(Debug)]
pub struct Batches {
    /// The only connection that writes.
    pub connection: Connection,
    /// The data folder.
    pub folder: Arc<Folder>,
    /// Source of the time of a write.
    pub clock: Arc<dyn Clock>,
    /// Deletes the files of replaced objects.
    pub reaper: Arc<Reaper>,
    /// Reserve for a full disk.
    pub room: Room,
    /// The thread that moves the log in parallel with writes.
    pub checkpointer: Checkpointer,
}

/// The result of a transaction: an outcome for each change, and files that are no longer referenced.
struct Done {
    outcomes: Vec<Result<Timestamp>>,
    freed: Vec<i64>,
}

impl Batches {
    /// Makes the changes of `requests`, in order, and answers each. If their common transaction fails, each is tried
    /// alone, so that one failing change does not affect the others.
    pub fn make(&mut self, requests: Vec<Request>) {
        if self.folder.check().is_err() {
            return self.refuse_all(requests);
        }
        let has_room = self.room.is_held() || {
            let _paused = self.checkpointer.pause();
            self.room.regain(&self.connection, self.clock.monotonic())
        };
        let requests = put_files_in_place(if has_room { requests } else { refuse_puts(requests) });
        let changes: Vec<&Change> = requests.iter().map(|request| &request.change).collect();
        match self.attempt(&changes) {
            Ok(done) => self.settle(requests, done),
            Err(error) => {
                tracing::warn!(%error, changes = requests.len(), "a transaction failed; each change is tried alone");
                let has_room = !is_index_full(&error) || self.spend_room();
                for request in if has_room { requests } else { refuse_puts(requests) } {
                    self.make_alone(request);
                }
            }
        }
    }

    /// Makes one change. One that needs no lasting space may use the reserve.
    fn make_alone(&mut self, request: Request) {
        let mut done = self.attempt(&[&request.change]);
        if done.as_ref().is_err_and(is_index_full) && !request.change.is_put() {
            self.spend_room();
            done = self.attempt(&[&request.change]);
        }
        match done {
            Ok(done) => self.settle(vec![request], done),
            Err(error) => refuse(request, index_fault(error)),
        }
    }

    fn spend_room(&mut self) -> bool {
        let _paused = self.checkpointer.pause();
        self.room.spend(&self.connection)
    }

    fn attempt(&mut self, changes: &[&Change]) -> rusqlite::Result<Done> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = self.clock.now();
        let mut freed = Vec::new();
        let outcomes = changes
            .iter()
            .map(|change| Ok(apply(&transaction, change, now, &mut freed)?.map(|()| now)))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        transaction.commit()?;
        Ok(Done { outcomes, freed })
    }

    /// Rejects changes while the folder is lost.
    fn refuse_all(&self, requests: Vec<Request>) {
        for request in requests {
            let lost = self.folder.check().err();
            refuse(request, lost.unwrap_or_else(|| Error::Unavailable("the data folder was lost for a moment".into())));
        }
    }

    fn settle(&mut self, requests: Vec<Request>, done: Done) {
        // Between the check before the transaction and this one, the change may have gone into a folder that is no
        // longer at its path.
        if self.folder.check().is_err() {
            return self.refuse_all(requests);
        }
        if requests.iter().any(|request| !request.change.is_put()) {
            self.room.expect_some();
        }
        for number in done.freed {
            self.reaper.retire(number);
        }
        for (mut request, outcome) in requests.into_iter().zip(done.outcomes) {
            if let (Change::Put(NewObject { value: Value::File(file), .. }), Ok(_)) = (&mut request.change, &outcome) {
                file.keep();
            }
            answer(request, outcome);
        }
    }
}

/// Fails the puts, whose files are removed, and returns the rest.
fn refuse_puts(requests: Vec<Request>) -> Vec<Request> {
    let (puts, others): (Vec<_>, _) = requests.into_iter().partition(|request| request.change.is_put());
    for request in puts {
        answer(request, Err(Error::Full("the disk of the data folder is full".into())));
    }
    others
}

/// Files must be in place durably before the index refers to them.
fn put_files_in_place(mut requests: Vec<Request>) -> Vec<Request> {
    let mut faults: Vec<Option<Error>> = Vec::with_capacity(requests.len());
    let mut folders: HashSet<PathBuf> = HashSet::new();
    for request in &mut requests {
        let placed = match &mut request.change {
            Change::Put(NewObject { value: Value::File(file), .. }) => file.put_in_place().map(Some),
            Change::Put(_) | Change::Delete { .. } | Change::DeleteMany(_) => Ok(None),
        };
        faults.push(match placed {
            Ok(folder) => {
                folders.extend(folder);
                None
            }
            Err(error) => Some(file_fault(error)),
        });
    }
    if let Some(error) = folders.iter().find_map(|folder| sync_folder(folder).err()) {
        tracing::error!(%error, "a folder of files could not be synced");
        for (request, fault) in requests.iter().zip(&mut faults) {
            if matches!(&request.change, Change::Put(NewObject { value: Value::File(_), .. })) {
                *fault = Some(Error::Unavailable("a folder of files could not be synced".into()));
            }
        }
    }
    let mut placed = Vec::with_capacity(requests.len());
    for (request, fault) in requests.into_iter().zip(faults) {
        match fault {
            None => placed.push(request),
            Some(error) => answer(request, Err(error)),
        }
    }
    placed
}

/// Answers the caller, who may be gone; the change is committed all the same.
fn answer(request: Request, outcome: Result<Timestamp>) {
    let _ = request.answer.send(outcome);
}

/// Rejects a change without an effect. If the log could not be synced, a crash might still bring it to light: then the
/// file must stay until the next start has checked.
fn refuse(mut request: Request, error: Error) {
    if let (Change::Put(NewObject { value: Value::File(file), .. }), Error::Unavailable(_)) =
        (&mut request.change, &error)
    {
        file.keep();
    }
    answer(request, Err(error));
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
            let standing = rows::find_standing(connection, key)?;
            if !holds(precondition, standing) {
                return Ok(Err(Error::Precondition));
            }
            delete(connection, key, standing, freed).map(Ok)
        }
        Change::DeleteMany(keys) => {
            for key in keys {
                let standing = rows::find_standing(connection, key)?;
                delete(connection, key, standing, freed)?;
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
    let standing = rows::find_standing(connection, &object.key)?;
    if !holds(&object.precondition, standing) {
        return Ok(Err(Error::Precondition));
    }
    let old = standing.map_or(Place::Nowhere, |(_, place)| place);
    let (place, row_value) = match (&object.value, old) {
        (Value::Inline(bytes), _) if bytes.is_empty() => (Place::Nowhere, None),
        (Value::Inline(bytes), _) if bytes.len() <= ROW_LIMIT => (Place::Row, Some(bytes.as_ref())),
        (Value::Inline(bytes), Place::Inline(id)) => {
            rows::replace_value(connection, id, bytes)?;
            (old, None)
        }
        (Value::Inline(bytes), _) => (Place::Inline(rows::add_value(connection, bytes)?), None),
        (Value::File(file), _) => {
            rows::add_file(connection, file.number())?;
            (Place::File(file.number()), None)
        }
    };
    if place != old {
        free(connection, old, freed)?;
    }
    let (size, hash, attributes) = (object.size, object.hash, object.attributes.clone());
    let entry = Entry { size, hash, last_modified: now, attributes, place };
    rows::write_entry(connection, &object.key, &entry, row_value)?;
    Ok(Ok(()))
}

fn delete(
    connection: &Connection,
    key: &str,
    standing: Option<(u128, Place)>,
    freed: &mut Vec<i64>,
) -> rusqlite::Result<()> {
    let Some((_, place)) = standing else { return Ok(()) };
    free(connection, place, freed)?;
    rows::remove_entry(connection, key)
}

fn free(connection: &Connection, place: Place, freed: &mut Vec<i64>) -> rusqlite::Result<()> {
    match place {
        Place::Nowhere | Place::Row => Ok(()),
        Place::Inline(id) => rows::remove_value(connection, id),
        Place::File(number) => {
            freed.push(number);
            rows::remove_file(connection, number)
        }
    }
}

fn holds(precondition: &Precondition, standing: Option<(u128, Place)>) -> bool {
    match precondition {
        Precondition::None => true,
        Precondition::IfAbsent => standing.is_none(),
        Precondition::IfMatch(wanted) => standing.is_some_and(|(hash, _)| etag(hash) == *wanted),
    }
}
