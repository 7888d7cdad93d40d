//! Properties of keys, names, documents and codings that hold for any bytes: run by the fuzz targets, and by the
//! tests of the module `fuzzing`. Not part of the program.
#![expect(clippy::missing_panics_doc, reason = "to panic is how a property is said not to hold")]

use std::{str::FromStr, sync::Arc};

use async_compression::{
    Level,
    tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder},
};
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{
    clock::Timestamp,
    storage::{BodyError, ByteStream, MemoryBudget},
};

use super::{
    claims::StoredClaim,
    coding::ContentCoding,
    document::{Document, Place},
    due_keys,
    error::Error,
    id::{ActorId, RunId, StoreId, TokenId, UserId},
    key::{MAX_KEY_LENGTH, RecordKey},
    key_range::{KeyQuery, KeyRange},
    label::Label,
    layout,
    name::StoreName,
    retention::LifecycleClass,
    schema::{CollectionKeys, JsonValidator, Schema},
};

/// A placeholder id.
const ID: &str = "WkzbQMuFYuamGv3YF";

/// Maximum number of bytes decoded from a body; lower than in the program.
const DECODED_LIMIT: u64 = 64 * 1024;

/// Maximum bytes of a path segment in object stores on top of a file system.
const LONGEST_SEGMENT: usize = 255;

/// Checks that a `T` survives a round trip, and then serializes to the same bytes.
pub fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&document).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("and written again"), written);
}

/// Checks that a parsed `T` formats to the same text.
pub fn verbatim<T: FromStr + ToString>(text: &str) {
    if let Ok(parsed) = text.parse::<T>() {
        assert_eq!(parsed.to_string(), text);
    }
}

/// Checks that the object key of a record contains the record key, in segments that every file system accepts, and in
/// order.
pub fn record_key(bytes: &[u8]) {
    let Some((one, other)) = pair::<RecordKey>(bytes) else { return };
    let id = id();
    for class in std::iter::once(None).chain(LifecycleClass::ALL.into_iter().map(Some)) {
        let place = place(class);
        let records = layout::records(&id, &place);
        let objects = [&one, &other].map(|key| layout::record(&id, &place, key));
        for (key, object) in [&one, &other].into_iter().zip(&objects) {
            assert!((1..=MAX_KEY_LENGTH).contains(&key.as_str().len()));
            assert_eq!(layout::record_key(object, &records).as_deref(), Some(key.as_str()));
            assert!(layout::is_record(object));
            assert!(object.split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{object}");
            assert!(object.split('/').all(|segment| segment.len() <= LONGEST_SEGMENT), "{object}");
            for end in 0..=key.as_str().len() {
                assert!(
                    object.starts_with(&layout::record_prefix(&id, &place, &key.as_str()[..end])),
                    "{object} {end}"
                );
            }
        }
        assert_eq!(objects[0].cmp(&objects[1]), one.cmp(&other));
    }
}

/// Checks that a key query selects the keys that match by bytes: with a prefix, after a start. Three lines: both, and
/// a key.
pub fn key_range(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(key), Some(prefix)) = (lines.next().and_then(|key| key.parse::<RecordKey>().ok()), lines.next()) else {
        return;
    };
    let start = lines.next().map(str::to_owned);
    let query = KeyQuery { prefix: Some(prefix.to_owned()), exclusive_start_key: start.clone(), ..KeyQuery::default() };
    let is_meant = key.as_str().starts_with(prefix)
        && start.is_none_or(|start| start.is_empty() || key.as_str().as_bytes() > start.as_bytes());
    let (id, place) = (id(), place(None));
    let object = layout::record(&id, &place, &key);
    let is_listed = match KeyRange::of(&query, None).expect("no collection is asked for") {
        KeyRange::Empty => false,
        KeyRange::Keys { prefix, after, only } => {
            let of = |text: &str| layout::record_prefix(&id, &place, text);
            let after = after.map(|after| layout::record_start(&id, &place, &after));
            // Requirement of object stores on a start.
            assert!(after.as_deref().is_none_or(|after| after.starts_with(&of(&prefix))), "{prefix:?} {after:?}");
            let is_behind = after.is_none_or(|after| object > after);
            object.starts_with(&of(&prefix)) && is_behind && (!only || key.as_str() == prefix)
        }
    };
    assert_eq!(is_listed, is_meant, "{text:?}");
}

/// Checks that ids and names format to the text they were parsed from.
pub fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    verbatim::<StoreId>(text);
    verbatim::<UserId>(text);
    verbatim::<TokenId>(text);
    verbatim::<RunId>(text);
    verbatim::<ActorId>(text);
    verbatim::<RecordKey>(text);
    verbatim::<StoreName>(text);
    if let Ok(name) = text.parse::<StoreName>() {
        assert!(name.folded().parse::<StoreName>().is_ok_and(|folded| folded == name));
        // It becomes a path segment.
        assert!(!text.contains(['/', '.', '%']) && !text.is_empty());
    }
}

/// Checks that a parsed object key is the key that would be written for the result.
pub fn layout(bytes: &[u8]) {
    let Ok(object) = std::str::from_utf8(bytes) else { return };
    let owner: UserId = ID.parse().expect("an id");
    if let Some(entry) = layout::parse_index_entry(object, &layout::index(&owner)) {
        let written = layout::index(&owner) + &layout::index_entry_name(&entry);
        // An unreadable label is equivalent to none.
        assert!(written == object || entry.label.is_none() && object.starts_with(&written), "{object}");
        assert_eq!(layout::parse_index_entry(&written, &layout::index(&owner)), Some(entry));
    }
    if let Some((id, contents)) = layout::parse_counted_entry(object, &layout::counted(&owner)) {
        assert_eq!(layout::counted_entry(&owner, &id, &contents), object);
    }
    if let Some(entry) = due_keys::parse_appointment(object) {
        assert_eq!(due_keys::appointment(&entry), object);
    }
    if let Some((entry, attempts, since)) = due_keys::parse_uptime_appointment(object) {
        assert_eq!(due_keys::uptime_appointment(&entry, attempts, since), object);
    }
    if let Some(id) = layout::parse_document(object) {
        assert_eq!(layout::document(&id), object);
    }
    if let Some(label) = Label::decoded(object) {
        assert_eq!(label.encoded(), object);
    }
    let _ = (layout::is_record(object), layout::record_key(object, &layout::records(&id(), &place(None))));
}

/// Checks that a store document survives a round trip, and that its methods accept it. A claim, likewise.
pub fn document(bytes: &[u8]) {
    json::<Document>(bytes);
    json::<StoredClaim>(bytes);
    let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return };
    for now in [i64::MIN, 0, i64::MAX].map(Timestamp::from_millis) {
        assert!(!document.is_visible(now) || document.is_there());
        assert!(!(document.name.is_some() && document.has_expired(now)), "a named store never expires");
    }
    assert!(document.movement().is_none() || document.is_there());
}

/// Checks that a valid schema survives a round trip, and that its collections have keys. Two JSON values: a schema,
/// and a record to validate.
pub fn schema(bytes: &[u8]) {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let Some(Ok(value)) = values.next() else { return };
    let record = bytes.get(values.byte_offset()..).unwrap_or_default();
    let text = value.to_string();
    // As read from a stored document: always accepted.
    let stored: Schema = serde_json::from_str(&text).expect("a stored schema can be read");
    assert_eq!(serde_json::to_string(&stored).expect("and written"), text);
    let Ok(schema) = Schema::parse(value.clone()) else { return };
    assert_eq!(schema.as_value(), &value);
    let ids = value["collections"].as_object().expect("it has collections").keys();
    let mut validators = Vec::new();
    for keys in ids.map(|id| schema.collection(id).expect("it is a collection")) {
        let (CollectionKeys::Key(text) | CollectionKeys::Prefix(text)) = keys;
        let key: RecordKey = text.parse().expect("a key, or the beginning of one");
        for collection in schema.collections_of(&key) {
            let validator = collection.validator().map(|validator| validator.expect("it was made before"));
            validators.extend(validator);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let checked = runtime.block_on(JsonValidator::check(
        validators,
        Bytes::copy_from_slice(record),
        &Arc::new(MemoryBudget::default()).lease(),
        u64::MAX,
    ));
    assert!(matches!(checked, Ok(()) | Err(Error::SchemaViolation(_))), "{checked:?}");
}

/// Checks that decoding never exceeds the limit, does not depend on how the body is split, and reverses encoding. The
/// first byte selects the coding.
pub fn coding(bytes: &[u8]) {
    let Some((choice, body)) = bytes.split_first() else { return };
    let coding = ContentCoding::ALL[usize::from(*choice) % ContentCoding::ALL.len()];
    let whole = decoded(coding, body, body.len().max(1));
    for piece in [1, 7] {
        match (&whole, decoded(coding, body, piece)) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, &pieces),
            (Err(one), Err(other)) => assert_eq!(
                matches!(one, BodyError::TooLarge { .. }),
                matches!(other, BodyError::TooLarge { .. }),
                "{one} {other}"
            ),
            (one, other) => panic!("whole: {one:?}, in pieces of {piece}: {other:?}"),
        }
    }
    let members = body.split_at(body.len() / 2);
    let members = [members.0, members.1].map(|member| encoded(ContentCoding::Gzip, member)).concat();
    assert_eq!(decoded(ContentCoding::Gzip, &members, 5).expect("it was encoded"), body);
    for coding in ContentCoding::ALL {
        let encoded = encoded(coding, body);
        assert_eq!(decoded(coding, &encoded, 5).expect("it was encoded"), body, "{coding:?}");
        assert_eq!(ContentCoding::parse(coding.as_str()), Some(coding));
    }
}

fn decoded(coding: ContentCoding, body: &[u8], piece: usize) -> Result<Bytes, BodyError> {
    let pieces: Vec<_> = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let decoded = coding
        .decode(ByteStream::new(None, stream::iter(pieces)), Arc::new(MemoryBudget::default()).lease())
        .into_bytes(DECODED_LIMIT);
    let decoded = decoded.now_or_never().expect("all of it is there");
    assert!(decoded.as_ref().map_or(0, |bytes| bytes.len() as u64) <= DECODED_LIMIT);
    decoded
}

fn encoded(coding: ContentCoding, text: &[u8]) -> Vec<u8> {
    fn all<W: AsyncWrite + Unpin>(mut encoder: W, text: &[u8]) -> W {
        encoder.write_all(text).now_or_never().expect("memory takes all").expect("memory takes all");
        encoder.shutdown().now_or_never().expect("memory takes all").expect("memory takes all");
        encoder
    }
    let level = Level::Fastest;
    match coding {
        ContentCoding::Gzip => all(GzipEncoder::with_quality(Vec::new(), level), text).into_inner(),
        ContentCoding::Brotli => all(BrotliEncoder::with_quality(Vec::new(), level), text).into_inner(),
        ContentCoding::Deflate => all(ZlibEncoder::with_quality(Vec::new(), level), text).into_inner(),
    }
}

/// Parses two lines, each a `T`.
fn pair<T: FromStr>(bytes: &[u8]) -> Option<(T, T)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    Some((one.parse().ok()?, other.parse().ok()?))
}

fn id() -> StoreId {
    ID.parse().expect("an id")
}

fn place(class: Option<LifecycleClass>) -> Place {
    Place { class, generation: "1".to_owned(), born_at: Timestamp::from_millis(0) }
}
