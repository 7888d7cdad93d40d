//! Where stores are imported from.

use std::{
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
};

use crate::kv::RecordKey;

use super::{
    archive::{INDEX, IndexLine, SHEET},
    directory::FileName,
    error::{Error, Result},
    record::{Attributes, Checked, LeftOut, Record, StoreSheet},
};

/// The most bytes of a sheet: more than any schema has.
const MAX_SHEET_BYTES: u64 = 1024 * 1024;

/// The most bytes of a line of an index: more than a key, a file's name and the longest header there is.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// A store that can be imported.
#[derive(Debug, Clone)]
pub struct SourceStore {
    /// What it is known by where it is.
    pub id: String,
    /// What it is.
    pub sheet: StoreSheet,
    /// How many records it has, if that is known.
    pub records: Option<u64>,
}

/// A record that can be imported.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// Its key.
    pub key: RecordKey,
    /// Its bytes.
    pub size: u64,
    /// The file that they are in, if they are in one.
    pub file: Option<FileName>,
    /// What goes with them, if that is known before they are opened.
    pub attributes: Option<Attributes>,
    /// Their SHA-256, if it is known.
    pub sha256: Option<String>,
}

/// An entry of a list of records.
#[derive(Debug, Clone)]
pub enum SourceEntry {
    /// A record that can be imported.
    Record(SourceRecord),
    /// What cannot be a record.
    LeftOut(LeftOut),
}

/// The records of a store, in an order that stays the same.
pub type SourceEntries<'a> = Box<dyn Iterator<Item = Result<SourceEntry>> + 'a>;

/// Where stores are imported from.
pub trait Source: Sync {
    /// Tells it from others.
    fn identity(&self) -> String;

    /// The stores there are.
    fn stores(&self) -> Result<Vec<SourceStore>>;

    /// The records of a store behind a key, in the order of their keys.
    fn records<'a>(&'a self, store: &SourceStore, after: Option<&RecordKey>) -> Result<SourceEntries<'a>>;

    /// A record with its bytes; `None` if it is gone meanwhile.
    fn open(&self, store: &SourceStore, record: &SourceRecord) -> Result<Option<Record>>;
}

/// The records that an index names behind a key.
pub fn indexed<'a>(mut index: impl BufRead + 'a, path: PathBuf, after: Option<&RecordKey>) -> SourceEntries<'a> {
    let after = after.cloned();
    let mut is_over = false;
    let lines = std::iter::from_fn(move || {
        let line = if is_over { Ok(None) } else { next_line(&mut index, &path) };
        // Nobody knows where the next line begins behind one that cannot be read.
        is_over |= line.is_err();
        line.transpose()
    });
    let records = lines.map(|line| {
        let line = match IndexLine::parse(&line?)? {
            Ok(line) => line,
            Err(left_out) => return Ok(SourceEntry::LeftOut(left_out)),
        };
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } = line;
        let attributes = Some(Attributes { content_type, content_encoding });
        Ok(SourceEntry::Record(SourceRecord { key, size, file: Some(file), attributes, sha256: Some(sha256) }))
    });
    let is_behind = move |entry: &Result<SourceEntry>| match (entry, &after) {
        (Ok(SourceEntry::Record(record)), Some(after)) => record.key > *after,
        (Ok(SourceEntry::LeftOut(left_out)), Some(after)) => left_out.name.as_str() > after.as_str(),
        (Ok(_), None) | (Err(_), _) => true,
    };
    Box::new(records.filter(is_behind))
}

fn next_line(index: &mut impl BufRead, path: &Path) -> Result<Option<String>> {
    let mut line = String::new();
    let read = index.by_ref().take(MAX_LINE_BYTES).read_line(&mut line).map_err(Error::of(path))?;
    if read as u64 >= MAX_LINE_BYTES {
        return Err(Error::Unusable(format!("{INDEX} has a line that is longer than {MAX_LINE_BYTES} bytes")));
    }
    Ok((read > 0).then_some(line))
}

/// How many lines an index has, of any length.
pub fn count_lines(mut index: impl BufRead) -> io::Result<u64> {
    let (mut lines, mut last) = (0, b'\n');
    loop {
        let piece = index.fill_buf()?;
        let Some(end) = piece.last() else { break };
        last = *end;
        lines += piece.split(|byte| *byte == b'\n').count() as u64 - 1;
        let length = piece.len();
        index.consume(length);
    }
    Ok(lines + u64::from(last != b'\n'))
}

/// A record whose bytes are held to what is known of them.
pub fn checked(bytes: impl std::io::Read + 'static, record: &SourceRecord) -> Record {
    let attributes = record
        .attributes
        .clone()
        .unwrap_or_else(|| Attributes { content_type: "application/octet-stream".to_owned(), content_encoding: None });
    let bytes = Box::new(Checked::new(bytes, record.size, record.sha256.as_deref()));
    Record { attributes, length: Some(record.size), bytes }
}

/// What a store is, by the file at `path`.
pub fn read_sheet(file: impl Read, path: &Path) -> Result<StoreSheet> {
    let mut text = Vec::new();
    file.take(MAX_SHEET_BYTES + 1).read_to_end(&mut text).map_err(Error::of(path))?;
    if text.len() as u64 > MAX_SHEET_BYTES {
        return Err(Error::Unusable(format!("{SHEET} is longer than {MAX_SHEET_BYTES} bytes")));
    }
    serde_json::from_slice(&text).map_err(|error| Error::Unusable(format!("{SHEET} is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_not_gathered() {
        let line = "{\"key\":\"a\",\"file\":\"a\",\"contentType\":\"b/c\",\"size\":0,\"sha256\":\"\"}";
        let endless = io::Cursor::new(format!("{line}\n{line}")).chain(io::repeat(b' '));
        let mut records = indexed(io::BufReader::new(endless), PathBuf::from(INDEX.as_str()), None);
        assert!(records.next().is_some_and(|record| record.is_ok()));
        assert!(records.next().is_some_and(|record| record.is_err()));
        assert!(records.next().is_none());
    }

    #[test]
    fn lines_are_counted_with_the_last_one_whether_it_ends_or_not() {
        for (text, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n\n", 2)] {
            assert_eq!(count_lines(text.as_bytes()).expect("it reads"), lines, "{text:?}");
        }
    }

    #[test]
    fn a_sheet_without_an_end_is_not_gathered() {
        assert!(read_sheet(io::repeat(b' '), Path::new(SHEET.as_str())).is_err());
        assert!(read_sheet(&b"{\"name\":\"shop\"}"[..], Path::new(SHEET.as_str())).is_ok());
    }
}
