//! Checks of bodies that are too large for one part.

use bytes::Bytes;
use futures_util::stream;

use crate::{
    body::{BodyError, ByteStream},
    error::{Error, Result},
    object::{GetOptions, PutOptions},
    store::ObjectStore,
};

use super::finding::Outcome;

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
