//! Reading of the manifest and the index of an exported store, which are untrusted.

use std::{
    io::{BufRead, Read},
    path::Path,
};

use crate::kv::RecordKey;

use super::{
    archive::{INDEX, IndexLine, SHEET},
    error::{Error, Result},
    record::{Attributes, NOT_EXPORTED, Record, StoreSheet, VerifyingReader},
    report::{Finding, Report},
    source::{Size, SourceEntries, SourceEntry, SourceRecord},
};

/// Maximum length of a manifest in bytes: more than any schema needs.
const MAX_SHEET_BYTES: u64 = 1024 * 1024;

/// Maximum length of a line of an index in bytes: more than a key, a file's name and the longest header need.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Reason for leaving out a line of an index that is not in order.
const OUT_OF_ORDER: &str = "the key is there twice, or the lines are not in the order of their keys";

/// Lists the records after a key in the index in the file at `path`. An invalid line is left out; after a line without
/// an end nothing can be read.
pub fn indexed<'a>(mut index: impl BufRead + 'a, path: &Path, after: Option<&RecordKey>) -> SourceEntries<'a> {
    let (after, path) = (after.cloned(), path.to_owned());
    let mut is_over = false;
    let lines = std::iter::from_fn(move || {
        let line = if is_over { Ok(None) } else { next_line(&mut index, &path) };
        is_over |= line.is_err();
        line.transpose().map(|line| line.map(|line| (path.display().to_string(), line)))
    });
    let mut last: Option<RecordKey> = None;
    let entries = lines.zip(1..).map(move |(line, number)| {
        let (path, line) = line?;
        let unusable = |what: &str| SourceEntry::LeftOut(Finding::new(format!("{path}, line {number}"), what));
        let IndexLine { key, file, content_type, content_encoding, size, sha256 } = match IndexLine::parse(&line) {
            Ok(Ok(line)) => line,
            Ok(Err(invalid)) => return Ok(unusable(&format!("{} is no key: {}", invalid.text, invalid.reason))),
            Err(error) => return Ok(unusable(&error.to_string())),
        };
        if last.as_ref().is_some_and(|last| key <= *last) {
            return Ok(unusable(&format!("{key}: {OUT_OF_ORDER}")));
        }
        last = Some(key.clone());
        let attributes = Some(Attributes { content_type, content_encoding });
        Ok(SourceEntry::Record(SourceRecord { key, size, file: Some(file), attributes, sha256: Some(sha256) }))
    });
    let is_behind = move |entry: &Result<SourceEntry>| match (entry, &after) {
        (Ok(SourceEntry::Record(record)), Some(after)) => record.key > *after,
        (Ok(_) | Err(_), _) => true,
    };
    Box::new(entries.filter(is_behind))
}

fn next_line(index: &mut impl BufRead, path: &Path) -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = index.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(Error::of(path))?;
    if read as u64 >= MAX_LINE_BYTES {
        return Err(Error::Unusable(format!("{INDEX} has a line that is longer than {MAX_LINE_BYTES} bytes")));
    }
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

/// Counts the records in an index, and reports its other lines and the files that differ from the index.
pub fn look(
    entries: SourceEntries<'_>,
    file_size: impl Fn(&SourceRecord) -> Result<u64>,
    place_of: impl Fn(&SourceRecord) -> String,
) -> Result<(Size, Report)> {
    let (mut size, mut report) = (Size::default(), Report::default());
    for entry in entries {
        match entry? {
            SourceEntry::LeftOut(finding) => report.leave_out(finding),
            SourceEntry::Record(record) => match file_size(&record) {
                Ok(bytes) if bytes == record.size => size.add(bytes),
                Ok(_) => report.leave_out(Finding::new(place_of(&record), NOT_EXPORTED)),
                Err(error) => report.leave_out(Finding::of(place_of(&record), &error)),
            },
        }
    }
    Ok((size, report))
}

/// Returns a record whose bytes are verified while they are read.
pub fn verified(bytes: impl Read + 'static, record: &SourceRecord) -> Record {
    let attributes = record.attributes.clone().unwrap_or_else(Attributes::unknown);
    let bytes = VerifyingReader::new(bytes, record.size, record.sha256.as_deref().unwrap_or_default());
    Record { attributes, length: Some(record.size), bytes: Box::new(bytes) }
}

/// Reads the manifest in the file at `path`.
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
    use std::io;

    use super::*;

    fn line(key: &str) -> String {
        format!("{{\"key\":\"{key}\",\"file\":\"a\",\"contentType\":\"b/c\",\"size\":0,\"sha256\":\"\"}}")
    }

    /// Lists an index: the keys of records, and markers for lines that are left out or end it.
    fn listed(index: impl BufRead) -> Vec<String> {
        let entries = indexed(index, Path::new(INDEX.as_str()), None);
        let shown = entries.map(|entry| match entry {
            Ok(SourceEntry::Record(record)) => record.key.to_string(),
            Ok(SourceEntry::LeftOut(finding)) => format!("left out: {}", finding.place),
            Err(_) => "error".to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn a_line_without_an_end_is_not_gathered() {
        let endless = io::Cursor::new(format!("{}\n{}", line("a"), line("b"))).chain(io::repeat(b' '));
        assert_eq!(listed(io::BufReader::new(endless)), ["a", "error"]);
    }

    #[test]
    fn a_line_that_is_no_record_does_not_hide_the_others() {
        let index = format!("{}\nno JSON\n{}\n{}\n", line("a"), line("no key"), line("b"));
        let second = "left out: records.ndjson, line 2";
        assert_eq!(listed(index.as_bytes()), ["a", second, "left out: records.ndjson, line 3", "b"]);
    }

    #[test]
    fn a_key_that_is_there_twice_is_one_record() {
        let index = ["b", "b", "a", "c"].map(line).join("\n");
        let left_out = [2, 3].map(|number| format!("left out: records.ndjson, line {number}"));
        assert_eq!(listed(index.as_bytes()), ["b", left_out[0].as_str(), left_out[1].as_str(), "c"]);
    }

    #[test]
    fn a_sheet_without_an_end_is_not_gathered() {
        assert!(read_sheet(io::repeat(b' '), Path::new(SHEET.as_str())).is_err());
        assert!(read_sheet(&b"{\"name\":\"shop\"}"[..], Path::new(SHEET.as_str())).is_ok());
    }
}
