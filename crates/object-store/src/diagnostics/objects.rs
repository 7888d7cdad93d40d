//! Checks of single objects: whether writes are visible at once, unchanged, and with the right time; and whether large
//! bodies come back whole.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;

use larder_runtime::clock::{Clock, SkewCorrectedClock};

use crate::{
    body::{BodyError, ByteStream},
    error::{Error, Result},
    object::{Attributes, ByteRange, GetOptions, ListOptions, Precondition, PutOptions},
    store::ObjectStore,
};

use super::check_runner::Outcome;

/// Description of the check of visibility.
pub const SEEN: &str = "read, overwrite, list and delete an object at once after each write, ten times";

/// Description of the check of attributes.
pub const KEPT: &str = "media type and coding of an object and of its copy, and a part of it";

/// Description of the check of clocks.
pub const CLOCK: &str = "the date of an answer beside the clock of this machine";

/// Number of rounds of writing, reading and deleting.
const ROUNDS: usize = 10;

/// Maximum bytes of an object in these checks.
const LIMIT: u64 = 1024;

/// Clock difference that is within the error of measurement: dates are in whole seconds.
const SAME_TIME: Duration = Duration::from_secs(5);

/// Checks that every reader sees every completed write.
pub async fn are_seen(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let key = format!("{folder}seen");
    for round in 0..ROUNDS {
        for text in [format!("first of {round}"), format!("second of {round}")] {
            put(objects, &key, &text, Attributes::default()).await?;
            if read(objects, &key).await?.as_deref() != Some(text.as_bytes()) {
                return Ok(stale("an object is read as it was before it was written"));
            }
        }
        if !is_listed(objects, &key).await? {
            return Ok(stale("an object that was written is not listed"));
        }
        objects.delete(&key, Precondition::None).await?;
        if read(objects, &key).await?.is_some() {
            return Ok(stale("an object can be read after it was deleted"));
        }
        if is_listed(objects, &key).await? {
            return Ok(stale("an object is listed after it was deleted"));
        }
    }
    Ok(Outcome::ok("every write can be read and listed at once"))
}

fn stale(what: &str) -> Outcome {
    let advice = "take a consistent object store, or the setting of this one that makes it so, and no cache before it";
    Outcome::wrong(format!("{what}: clients will see old records, and stores may be lost"), advice)
}

/// Checks that objects come back with their attributes.
pub async fn are_kept(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
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
            let meaning = format!("an object came back as {:?}, with {} of 10 bytes", found.attributes, found.size);
            return Ok(Outcome::wrong(meaning, "take the proxy away that changes headers, or another object store"));
        }
    }
    let range = Some(ByteRange::Bounded { first: 2, last: 4 });
    let part = objects.get(&key, GetOptions { range }).await?;
    let part = part.body.into_bytes(LIMIT).await.map_err(Error::Body)?;
    Ok(if part == "234" {
        Outcome::ok("media type and coding came back as they were stored, also of a copy and of a part")
    } else {
        Outcome::wrong("a part of an object is another part", "take another object store: downloads would be damaged")
    })
}

/// Checks that the object store and this machine agree about the time.
pub async fn clock_agrees(objects: &dyn ObjectStore, clock: &dyn Clock, folder: &str) -> Result<Outcome> {
    let before = clock.now();
    let key = format!("{folder}clock");
    let options = PutOptions::default();
    let theirs = objects.put(&key, ByteStream::from(Bytes::from_static(b"now")), options).await?.last_modified;
    let after = clock.now();
    let off = if theirs < before { before.since(theirs) } else { theirs.since(after) };
    let meaning = format!("the clocks of the object store and of this machine are {} s apart", off.as_secs());
    Ok(if off <= SAME_TIME {
        Outcome::ok(meaning)
    } else if off <= SkewCorrectedClock::MAX_SKEW {
        Outcome::lacks(meaning, "set both clocks by NTP: beyond a minute, gateways are not ready")
    } else {
        Outcome::wrong(format!("{meaning}: a gateway on this machine would not be ready"), "set both clocks by NTP")
    })
}

async fn put(objects: &dyn ObjectStore, key: &str, text: &str, attributes: Attributes) -> Result<()> {
    let body = ByteStream::from(Bytes::copy_from_slice(text.as_bytes()));
    objects.put(key, body, PutOptions { attributes, precondition: Precondition::None }).await.map(drop)
}

async fn read(objects: &dyn ObjectStore, key: &str) -> Result<Option<Bytes>> {
    match objects.get(key, GetOptions::default()).await {
        Ok(object) => object.body.into_bytes(LIMIT).await.map(Some).map_err(Error::Body),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn is_listed(objects: &dyn ObjectStore, key: &str) -> Result<bool> {
    let page = objects.list(ListOptions { prefix: key.to_owned(), start_after: None, limit: 1 }).await?;
    Ok(page.objects.iter().any(|object| object.key == key))
}

/// Description of the check.
pub const LARGE: &str =
    "9 MiB of unknown length (in parts, where the object store has such), and a body that breaks off";

/// Bytes of a chunk of a body.
const PIECE: usize = 64 << 10;

/// Chunks of a body: more than one part of an upload.
const PIECES: usize = 144;

/// Checks that a large body comes back unchanged, and that one that breaks off leaves it unchanged.
pub async fn arrive_whole(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let key = format!("{folder}large");
    objects.put(&key, body(PIECES, false), PutOptions::default()).await?;
    let damage = "take another object store, or the proxy away that stands before it: large records would be damaged";
    if !is_whole(objects, &key).await? {
        return Ok(Outcome::wrong("a body of 9 MiB came back otherwise than it was stored", damage));
    }
    let broken = objects.put(&key, body(PIECES, true), PutOptions::default()).await;
    if broken.is_ok() || !is_whole(objects, &key).await? {
        return Ok(Outcome::wrong("a body that broke off was stored, and took the place of a whole one", damage));
    }
    Ok(Outcome::ok("a body of 9 MiB came back whole, and one that broke off changed nothing"))
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
