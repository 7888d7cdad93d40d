//! The checks: of keys, of single objects, and of features that a store may lack.
//!
//! Checks of keys tell which are accepted, and whether lists show all of them in order.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use larder_runtime::clock::{Clock, SkewCorrectedClock};

use super::check_runner::Outcome;
use crate::{
    body::{BodyError, ByteStream},
    conditional_write_probe::ConditionalWriteProbe,
    lifecycle::{LifecycleError, Reconciled, WantedRule, WantedRules},
    object::{Attributes, ByteRange, GetOptions, ListOptions, Precondition, PutOptions},
    store::{Error, MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore, Result},
};

/// Description of the check of order.
pub const LIST_ORDER_DESCRIPTION: &str =
    "list keys of letters, digits and !-_.'(), and start after keys that exist and keys that do not";

/// Description of the check of long lists.
pub const LIST_PAGES_DESCRIPTION: &str = "list 1,050 keys in pages, and delete them in batches of up to 1,000";

/// Description of the check of odd keys.
pub const UNUSUAL_KEYS_DESCRIPTION: &str =
    "write keys with dots, with '()!~, with segments of 255 bytes, and of 900 bytes";

/// The letters of the keys, except the one that sorts before them all.
const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!-_.'()";

/// Number of keys: more than a page has.
const MANY_KEYS: usize = 1050;

/// Number of concurrent requests.
const AT_ONCE: usize = 16;

/// Maximum number of pages of a list before the check calls it endless.
const MOST_PAGES: usize = 20;

/// Maximum length of a segment, and of a key.
const LONGEST_KEYS: (usize, usize) = (255, 900);

/// Checks that lists are in byte order.
pub async fn check_list_order(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}order/");
    let mut keys: Vec<String> = LETTERS.chars().map(|letter| format!("{folder}k{letter}")).collect();
    keys.extend(LETTERS.chars().step_by(5).map(|letter| format!("{folder}k{letter}{letter}")));
    write_all(objects, &keys).await?;
    keys.sort_unstable();
    let advice = "use another object store: lists would omit keys";
    let listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    if listed != keys {
        return Ok(Outcome::fail(format!("keys are not listed in byte order: {}", first_odd(&listed, &keys)), advice));
    }
    for behind in ["k", "k5", "k55", "kA", "kM0", "k_", "kz", "k~"] {
        let behind = format!("{folder}{behind}");
        let listed = all(objects, &folder, Some(behind.clone()), 7).await?;
        let expected: Vec<_> = keys.iter().filter(|key| **key > behind).cloned().collect();
        if listed != expected {
            let what = first_odd(&listed, &expected);
            return Ok(Outcome::fail(format!("a list that starts after {behind:?} has wrong keys: {what}"), advice));
        }
    }
    Ok(Outcome::pass("lists are in byte order, and start after the given key"))
}

/// Checks that lists of more than a page are complete.
pub async fn check_list_pages(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}many/");
    let keys: Vec<String> = (0..MANY_KEYS).map(|number| format!("{folder}k{number:04}")).collect();
    write_all(objects, &keys).await?;
    let listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    if listed != keys {
        let what = format!("{} of {MANY_KEYS} keys are listed: {}", listed.len(), first_odd(&listed, &keys));
        return Ok(Outcome::fail(what, "use another object store: lists would omit keys"));
    }
    for some in keys.chunks(MAX_DELETE_KEYS) {
        objects.delete_many(some.to_vec()).await?;
    }
    let left = all(objects, &folder, None, MAX_LIST_KEYS).await?.len();
    Ok(if left == 0 {
        Outcome::pass("a list of 1,050 keys is complete, and empty after their deletion")
    } else {
        Outcome::fail(format!("{left} keys are listed after their deletion"), "use another object store")
    })
}

/// Checks that the store accepts all keys that Larder uses, unchanged.
pub async fn check_unusual_keys(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}odd/");
    let mut keys: Vec<String> =
        ["k.", "k..", "k...", "ka'(b)!", "k%2F", "k-_.~"].map(|key| format!("{folder}{key}")).into();
    let segment = "s".repeat(LONGEST_KEYS.0);
    keys.push(format!("{folder}{segment}"));
    let mut long = folder.clone();
    while long.len() + segment.len() < LONGEST_KEYS.1 {
        long.extend([&segment[1..], "/"]);
    }
    long.push_str(&segment[..LONGEST_KEYS.1 - long.len()]);
    keys.push(long);
    keys.sort_unstable();
    let mut refused = Vec::new();
    for key in &keys {
        let shown: String = key.trim_start_matches(&folder).chars().take(12).collect();
        match (ConditionalWriteProbe { objects }).write(key, key.as_str(), Precondition::None).await {
            Ok(_) if objects.head(key).await.is_ok_and(|meta| meta.size == key.len() as u64) => {}
            Ok(_) => refused.push(format!("{shown} ({} bytes): not there under this name", key.len())),
            Err(error @ (Error::Timeout | Error::Throttled { .. })) => return Err(error),
            Err(error) => {
                refused.push(format!("{shown} ({} bytes): {}", key.len(), Outcome::from_error(&error).message));
            }
        }
    }
    let advice =
        "use another object store, or remove the proxy in front of it: records with such keys could not be stored";
    if !refused.is_empty() {
        return Ok(Outcome::fail(format!("refused: {}", refused.join("; ")), advice));
    }
    let mut listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    listed.sort_unstable();
    Ok(if listed == keys {
        Outcome::pass("keys with special characters and long keys are stored and listed unchanged")
    } else {
        Outcome::fail(format!("they are listed differently: {}", first_odd(&listed, &keys)), advice)
    })
}

async fn write_all(objects: &dyn ObjectStore, keys: &[String]) -> Result<()> {
    // From last to first, so that the order of writing cannot pass for the order of keys.
    let writes = keys.iter().rev().map(|key| async move {
        ConditionalWriteProbe { objects }.write(key, "value", Precondition::None).await.map(drop)
    });
    stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
}

/// Lists all keys below a folder, page by page.
async fn all(objects: &dyn ObjectStore, folder: &str, behind: Option<String>, limit: usize) -> Result<Vec<String>> {
    let (mut keys, mut start_after) = (Vec::new(), behind);
    for _ in 0..MOST_PAGES {
        let options = ListOptions { prefix: folder.to_owned(), start_after: start_after.take(), limit };
        let page = objects.list(options).await?;
        start_after = page.objects.last().filter(|_| page.is_truncated).map(|last| last.key.clone());
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if start_after.is_none() {
            break;
        }
    }
    Ok(keys)
}

/// Returns the first key that differs from the expected one.
fn first_odd(found: &[String], expected: &[String]) -> String {
    let at = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at)).unwrap_or_default();
    let name = |keys: &[String]| match keys.get(at) {
        Some(key) => format!("{:?}", key.rsplit('/').next().unwrap_or(key)),
        None => "nothing".to_owned(),
    };
    format!("{} where {} should be", name(found), name(expected))
}

// Checks of single objects: whether writes are visible at once, unchanged, and with the right time; and whether large
// bodies come back whole.

/// Description of the check of visibility.
pub const READ_AFTER_WRITE_DESCRIPTION: &str =
    "read, overwrite, list and delete an object right after each write, ten times";

/// Description of the check of attributes.
pub const ATTRIBUTES_DESCRIPTION: &str = "read the media type, the encoding and a range of an object and of its copy";

/// Description of the check of clocks.
pub const CLOCK_DESCRIPTION: &str = "compare the date of a response with the clock of this machine";

/// Number of rounds of writing, reading and deleting.
const ROUNDS: usize = 10;

/// Maximum bytes of an object in these checks.
const MAX_OBJECT_BYTES: u64 = 1024;

/// Clock difference that is within the error of measurement: dates are in whole seconds.
const SAME_TIME: Duration = Duration::from_secs(5);

/// Checks that every reader sees every completed write.
pub async fn check_read_after_write(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let key = format!("{folder}seen");
    for round in 0..ROUNDS {
        for text in [format!("first of {round}"), format!("second of {round}")] {
            put(objects, &key, &text, Attributes::default()).await?;
            if read(objects, &key).await?.as_deref() != Some(text.as_bytes()) {
                return Ok(stale("a read after a write returns the older object"));
            }
        }
        if !is_listed(objects, &key).await? {
            return Ok(stale("a list after a write does not contain the object"));
        }
        objects.delete(&key, Precondition::None).await?;
        if read(objects, &key).await?.is_some() {
            return Ok(stale("a read after a delete returns the object"));
        }
        if is_listed(objects, &key).await? {
            return Ok(stale("a list after a delete contains the object"));
        }
    }
    Ok(Outcome::pass("every write is visible to reads and lists at once"))
}

fn stale(what: &str) -> Outcome {
    let advice = "use a strongly consistent object store, or its setting for that, without a cache in front of it";
    Outcome::fail(format!("{what}: clients would read old records, and stores could be lost"), advice)
}

/// Checks that objects come back with their attributes.
pub async fn check_attributes(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let (key, copy) = (format!("{folder}kept"), format!("{folder}copy"));
    let attributes = Attributes {
        content_type: "text/x-probe; charset=utf-8".to_owned(),
        content_encoding: Some("gzip".to_owned()),
    };
    put(objects, &key, "0123456789", attributes.clone()).await?;
    objects.copy(&key, &copy, Precondition::None).await?;
    for key in [&key, &copy] {
        let found = objects.head(key).await?;
        if found.attributes != attributes || found.size != 10 {
            let message = format!("an object came back as {:?}, with {} of 10 bytes", found.attributes, found.size);
            return Ok(Outcome::fail(message, "remove the proxy that changes headers, or use another object store"));
        }
    }
    let range = Some(ByteRange::Bounded { first: 2, last: 4 });
    let part = objects.get(&key, GetOptions { range }).await?;
    let part = part.body.into_bytes(MAX_OBJECT_BYTES).await.map_err(Error::Body)?;
    Ok(if part == "234" {
        Outcome::pass("media type and encoding come back as they were stored, also for a copy and a range")
    } else {
        Outcome::fail("a range of an object has other bytes", "use another object store: downloads would be damaged")
    })
}

/// Checks that the object store and this machine agree about the time.
pub async fn check_clock(objects: &dyn ObjectStore, clock: &dyn Clock, folder: &str) -> Result<Outcome> {
    let before = clock.now();
    let key = format!("{folder}clock");
    let options = PutOptions::default();
    let theirs = objects.put(&key, ByteStream::from(Bytes::from_static(b"now")), options).await?.last_modified;
    let after = clock.now();
    let off = if theirs < before { before.since(theirs) } else { theirs.since(after) };
    let message = format!("the clocks of the object store and of this machine are {} s apart", off.as_secs());
    Ok(if off <= SAME_TIME {
        Outcome::pass(message)
    } else if off <= SkewCorrectedClock::MAX_SKEW {
        Outcome::degraded(message, "synchronize both clocks with NTP: beyond a minute, gateways are not ready")
    } else {
        Outcome::fail(
            format!("{message}: a gateway on this machine would not be ready"),
            "synchronize both clocks with NTP",
        )
    })
}

async fn put(objects: &dyn ObjectStore, key: &str, text: &str, attributes: Attributes) -> Result<()> {
    let body = ByteStream::from(Bytes::copy_from_slice(text.as_bytes()));
    objects.put(key, body, PutOptions { attributes, precondition: Precondition::None }).await.map(drop)
}

async fn read(objects: &dyn ObjectStore, key: &str) -> Result<Option<Bytes>> {
    match objects.get(key, GetOptions::default()).await {
        Ok(object) => object.body.into_bytes(MAX_OBJECT_BYTES).await.map(Some).map_err(Error::Body),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn is_listed(objects: &dyn ObjectStore, key: &str) -> Result<bool> {
    let page = objects.list(ListOptions { prefix: key.to_owned(), start_after: None, limit: 1 }).await?;
    Ok(page.objects.iter().any(|object| object.key == key))
}

/// Description of the check.
pub const LARGE_BODIES_DESCRIPTION: &str =
    "write 9 MiB of unknown length (a multipart upload, if the object store has them), and a body that is cut off";

/// Bytes of a chunk of a body.
const PIECE: usize = 64 << 10;

/// Chunks of a body: more than one part of an upload.
const PIECES: usize = 144;

/// Checks that a large body comes back unchanged, and that one that breaks off leaves it unchanged.
pub async fn check_large_bodies(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let key = format!("{folder}large");
    objects.put(&key, body(PIECES, false), PutOptions::default()).await?;
    let damage = "use another object store, or remove the proxy in front of it: large records would be damaged";
    if !is_whole(objects, &key).await? {
        return Ok(Outcome::fail("a body of 9 MiB came back changed", damage));
    }
    let broken = objects.put(&key, body(PIECES, true), PutOptions::default()).await;
    if broken.is_ok() || !is_whole(objects, &key).await? {
        return Ok(Outcome::fail("a body that was cut off was stored, and replaced a complete one", damage));
    }
    Ok(Outcome::pass("a body of 9 MiB came back unchanged, and one that was cut off changed nothing"))
}

fn body(pieces: usize, breaks_off: bool) -> ByteStream {
    let last = breaks_off.then_some(Err(BodyError::Aborted));
    ByteStream::new(None, stream::iter((0..pieces).map(|number| Ok(piece(number))).chain(last)))
}

fn piece(number: usize) -> Bytes {
    // All chunks differ, and none is a shifted copy of another.
    (0..PIECE).map(|at| ((at / 251) ^ (at * 7) ^ (number * 31)).to_le_bytes()[0]).collect()
}

async fn is_whole(objects: &dyn ObjectStore, key: &str) -> Result<bool> {
    let object = objects.get(key, GetOptions::default()).await?;
    if object.meta.size != (PIECE * PIECES) as u64 {
        return Ok(false);
    }
    let bytes = object.body.into_bytes((PIECE * PIECES) as u64).await.map_err(Error::Body)?;
    Ok(bytes.chunks(PIECE).enumerate().all(|(number, chunk)| chunk == piece(number)))
}

// Checks of features that a store may lack: conditional writes, which decide whether it needs a single writer, and
// lifecycle rules.

/// Description of the check.
pub const CONDITIONAL_WRITES_DESCRIPTION: &str =
    "write with If-None-Match and If-Match: absent, current and stale validators, and 16 concurrent writers";

/// Advice for stores without conditional writes.
const LEADER: &str = "set LARDER_LEADER=self on exactly one gateway and its http:// origin on all others, and the same \
                      LARDER_SECRET and LARDER_TOKEN on all";

/// The conditions that an object store honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is probed on its own")]
pub struct Conditions {
    /// Those of puts, including under contention.
    pub of_writes: bool,
    /// Those of deletes.
    pub of_deletes: bool,
    /// Those of completing a multipart upload.
    pub of_completions: bool,
    /// True if validators are in quotes.
    pub quoted: bool,
    /// The value of the setting, which overrides the probe.
    pub set: Option<bool>,
}

impl Conditions {
    /// Returns whether gateways may rely on conditional writes.
    pub fn are_relied_on(self) -> bool {
        self.set.unwrap_or(self.of_writes)
    }

    /// Returns the outcome of the check.
    pub fn outcome(self) -> Outcome {
        let Self { of_writes, of_deletes, of_completions, quoted, set } = self;
        match (of_writes, set) {
            (false, Some(true)) => {
                return Outcome::fail(
                    "LARDER_S3_CONDITIONAL_WRITES is yes, but the object store ignores conditions: two gateways can overwrite each other",
                    format!("remove the setting, and {LEADER}"),
                );
            }
            (false, None | Some(false)) => {
                return Outcome::degraded(
                    "the object store ignores conditions: one gateway, the leader, performs all conditional writes",
                    LEADER,
                );
            }
            (true, Some(false)) => {
                return Outcome::degraded(
                    "conditions hold on this node of the object store, but LARDER_S3_CONDITIONAL_WRITES is no",
                    LEADER,
                );
            }
            (true, None | Some(true)) => {}
        }
        let mut message =
            "conditions hold, also for concurrent writers: any number of gateways can share the bucket".to_owned();
        if !quoted {
            message.push_str("; validators are sent without quotes, as this object store requires");
        }
        let missing = [(of_deletes, "of deletes"), (of_completions, "on completing a multipart upload")];
        let missing: Vec<_> = missing.into_iter().filter(|(holds, _)| !holds).map(|(_, what)| what).collect();
        if missing.is_empty() {
            return Outcome::pass(message);
        }
        let message = format!("{message}; conditions {} do not hold", missing.join(" and "));
        Outcome::degraded(
            message,
            "no action is needed: Larder answers requests that need them with 400, or works without them",
        )
    }
}

/// Detects the conditions that hold.
pub async fn probe_conditions(objects: &dyn ObjectStore, folder: &str) -> Result<Conditions> {
    let probe = ConditionalWriteProbe { objects };
    let of_writes = probe.honours_preconditions(&format!("{folder}condition")).await?
        && probe.honours_under_contention(folder).await?;
    let of_deletes = of_writes && probe.honours_delete_preconditions(&format!("{folder}deleted")).await?;
    Ok(Conditions { of_writes, of_deletes, of_completions: of_writes, quoted: true, set: None })
}

/// Description of the check.
pub const LIFECYCLE_RULES_DESCRIPTION: &str = "write a rule for a prefix without objects, read it back, and remove it";

/// A prefix below which no objects ever exist.
const EMPTY_PREFIX: &str = "larder/probe-lifecycle/";

/// Advice for stores without lifecycle rules.
const SWEEP: &str = "keep at least one gateway running: it deletes expired records itself";

/// Checks that rules read back as they were written.
pub async fn check_lifecycle_rules(objects: &dyn ObjectStore) -> Result<Outcome> {
    let Some(lifecycle) = objects.lifecycle() else {
        return Ok(Outcome::degraded("the object store has no lifecycle rules", SWEEP));
    };
    let rule = WantedRule { prefix: format!("{EMPTY_PREFIX}1/"), days: 1 };
    let mut wanted = WantedRules { root: EMPTY_PREFIX.to_owned(), expirations: vec![rule], upload_days: Some(1) };
    let written = lifecycle.reconcile(&wanted).await;
    let outcome = match written {
        Ok(Reconciled::Unsupported) => return Ok(Outcome::degraded("the object store has no lifecycle rules", SWEEP)),
        Ok(Reconciled::Written | Reconciled::Unchanged) => {
            Outcome::pass("a lifecycle rule came back as it was written, and other rules stayed unchanged")
        }
        Err(LifecycleError::Store(error @ (Error::Timeout | Error::Throttled { .. }))) => return Err(error),
        Err(LifecycleError::Store(error)) => Outcome::fail(
            Outcome::from_error(&error).message,
            "permit the credentials to read and write lifecycle rules (s3:GetLifecycleConfiguration, s3:PutLifecycleConfiguration and \
             s3:GetBucketVersioning)",
        ),
        Err(error @ LifecycleError::Unsettled) => Outcome::fail(
            error.to_string(),
            "find the other program that writes rules of this bucket, and run the doctor again",
        ),
        Err(error @ (LifecycleError::Dangerous { .. } | LifecycleError::Unfit(_))) => {
            Outcome::fail(Outcome::from_error(&error).message, format!("correct the rules of the bucket, and {SWEEP}"))
        }
    };
    wanted.expirations.clear();
    wanted.upload_days = None;
    match lifecycle.reconcile(&wanted).await {
        Err(LifecycleError::Unfit(_)) | Ok(_) => Ok(outcome),
        Err(error) => Ok(Outcome::fail(
            format!("a rule for {EMPTY_PREFIX} stays, which has no objects: {error}"),
            "remove it by hand, or run the doctor again",
        )),
    }
}
