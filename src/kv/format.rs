//! Which format everything in an object store has: one object, read once when a gateway starts, so that a version of Larder
//! which would misread what a newer one wrote does not begin.
//!
//! A store's document has a format of its own, too, since a gateway that runs already does not look again: what a newer one
//! writes meanwhile it does not touch. What to do when the format rises: `docs/decisions/0009`.

use serde::{Deserialize, Serialize};

use crate::storage::{ETag, ObjectStore};

use super::{
    json_objects::{JsonError, create_json, read_json, replace_json},
    layout,
};

/// The format that this version writes. One and two said nothing of themselves but in the documents of stores; whatever has no
/// format is taken for older, and brought up to date in passing (`order`).
pub const FORMAT: u32 = 3;

/// The lowest format whose versions may read and write what this version writes.
const USABLE_FROM: u32 = 3;

/// How often the format is looked at when another gateway writes it, too, or an answer is lost.
const LOOKS: usize = 3;

/// What is said of the format.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    /// What the newest version that was here writes.
    format: u32,
    /// The lowest format whose versions may read and write here.
    usable_from: u32,
    /// The version that said so.
    written_by: String,
}

/// The format cannot be had, or not be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A newer version was here.
    #[error(
        "Larder {by} wrote here in format {found}, and this version, {}, knows no higher one than {FORMAT}: start Larder {by} \
         or a newer one, or restore a backup from before that one was started",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The format.
        found: u32,
        /// The version of Larder.
        by: String,
    },
    /// What is said of the format cannot be read or written.
    #[error("the format of what is stored cannot be read or written")]
    Objects(#[from] JsonError),
}

/// How what is stored stands to this version, which can use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatStanding {
    /// Nothing is said: nothing is there yet, or an older version put it there.
    Unsaid,
    /// A lower one.
    Older(u32),
    /// This version's, or a higher one that is usable from this on.
    Usable(u32),
}

/// Looks at the format, and changes nothing. One read.
pub async fn look_at_format(objects: &dyn ObjectStore) -> Result<FormatStanding, FormatError> {
    Ok(look(objects).await?.0)
}

/// Sees to it that the format is this version's or can be used by it, and says so where a lower one or nothing was said. One
/// read, and a conditional write the first time.
pub async fn settle_format(objects: &dyn ObjectStore) -> Result<(), FormatError> {
    let said = Said { format: FORMAT, usable_from: USABLE_FROM, written_by: env!("CARGO_PKG_VERSION").to_owned() };
    let mut failed = None;
    for _ in 0..LOOKS {
        let (standing, etag) = look(objects).await?;
        if let FormatStanding::Usable(_) = standing {
            return Ok(());
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let written = match etag {
            None => create_json(objects, layout::FORMAT, &said).await,
            Some(etag) => replace_json(objects, layout::FORMAT, &said, etag).await,
        };
        match written {
            Ok(true) => {
                tracing::info!(format = FORMAT, before = ?standing, "the format of what is stored was written down");
                return Ok(());
            }
            // Another gateway was quicker, or our own write was, and its answer was lost.
            Ok(false) => {}
            Err(error) => failed = Some(error.into()),
        }
    }
    Err(failed.unwrap_or_else(|| JsonError::Storage(crate::storage::Error::Precondition).into()))
}

async fn look(objects: &dyn ObjectStore) -> Result<(FormatStanding, Option<ETag>), FormatError> {
    let Some((said, etag)) = read_json::<Said>(objects, layout::FORMAT).await? else {
        return Ok((FormatStanding::Unsaid, None));
    };
    if said.usable_from > FORMAT {
        return Err(FormatError::Newer { found: said.format, by: said.written_by });
    }
    let standing =
        if said.format < FORMAT { FormatStanding::Older(said.format) } else { FormatStanding::Usable(said.format) };
    Ok((standing, Some(etag)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::SystemClock, kv::document::DOCUMENT_FORMAT, storage::memory::MemoryStore};

    const _: () = assert!(FORMAT >= DOCUMENT_FORMAT, "a new format of documents is a new format of what is stored");

    async fn after(format: u32, usable_from: u32) -> (MemoryStore, Result<(), FormatError>) {
        let objects = MemoryStore::new(Arc::new(SystemClock));
        let said = Said { format, usable_from, written_by: "9.8.7".to_owned() };
        create_json(&objects, layout::FORMAT, &said).await.expect("it is written");
        let settled = settle_format(&objects).await;
        (objects, settled)
    }

    async fn said(objects: &MemoryStore) -> Said {
        read_json(objects, layout::FORMAT).await.expect("it is read").expect("it is there").0
    }

    #[tokio::test]
    async fn what_says_nothing_of_its_format_or_a_lower_one_is_said_to_have_this_one() {
        let objects = MemoryStore::new(Arc::new(SystemClock));
        assert_eq!(look_at_format(&objects).await.expect("a look"), FormatStanding::Unsaid);
        settle_format(&objects).await.expect("it is written");
        assert_eq!(said(&objects).await.format, FORMAT);
        let (objects, settled) = after(FORMAT - 1, 1).await;
        settled.expect("it can be used");
        assert_eq!((said(&objects).await.format, said(&objects).await.usable_from), (FORMAT, USABLE_FROM));
        assert_eq!(look_at_format(&objects).await.expect("a look"), FormatStanding::Usable(FORMAT));
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_and_left_alone_unless_it_can_be_used() {
        let (objects, settled) = after(FORMAT + 2, FORMAT + 1).await;
        let words = settled.expect_err("it cannot be used").to_string();
        assert!(words.contains(&format!("format {}", FORMAT + 2)) && words.contains("start Larder 9.8.7"), "{words}");
        assert_eq!(said(&objects).await.format, FORMAT + 2);
        look_at_format(&objects).await.expect_err("it cannot be used");
        let (objects, settled) = after(FORMAT + 2, FORMAT).await;
        settled.expect("it can be used");
        assert_eq!(said(&objects).await.format, FORMAT + 2);
    }
}
