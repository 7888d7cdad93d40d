//! Output to the terminal: messages, and lists as tables for people or as JSON lines for programs.
//!
//! A reader may close its end at any time; that is no reason to fail.

use std::{
    borrow::Cow,
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
};

use serde_json::Value;

use crate::config::Config;

use super::api_connection::ApiConnection;

/// Writes a line to standard output, for the result of a command.
pub(super) fn print_line(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", printable(line)).and_then(|()| io::stdout().flush());
}

/// Writes an error to standard error, in the format of the argument parser.
pub(super) fn print_error(error: &str) {
    print_message(&format!("error: {error}"));
}

/// Writes a line of a long list to standard output; fails if the reader has gone, so that the list can end.
pub(super) fn try_print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", printable(line))
}

/// Writes a line to standard error, for messages beside the result.
pub(super) fn print_message(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// Replaces control characters except line breaks and tabs: output contains texts from servers, keys and names, and
/// none of it may control a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let is_command = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if text.contains(is_command) { text.replace(is_command, "\u{fffd}").into() } else { text.into() }
}

/// Reports a damaged object. A key may contain anything; it is escaped, so that it cannot control a terminal.
pub(super) fn print_damage(what: &str, wrong: &str) {
    print_line(&format!("damaged: {}: {wrong}", what.escape_debug()));
}

/// Returns whether the configuration has a bucket and no data folder; if so, prints that the command cannot do its
/// `purpose`.
pub(super) fn reject_bucket(config: &Config, purpose: &str) -> bool {
    #[cfg(feature = "s3")]
    if !config.s3.bucket.is_empty() {
        print_error(&format!(
            "cannot {purpose}: the configuration has a bucket, and this command works on a data folder only"
        ));
        return true;
    }
    let _ = (config, purpose);
    false
}

/// Returns an error with all its causes, on one line. Some errors repeat the text of their cause: it is printed once.
pub(super) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            let _ = write!(text, ": {words}");
        }
        cause = error.source();
    }
    text
}

/// Number of objects on a page of a list.
const PAGE_SIZE: usize = 1000;

/// Format of a command's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Tables and aligned names, for people.
    Table,
    /// JSON: one document, for a list one per line.
    Json,
}

impl Format {
    /// Returns JSON if a program requests it.
    pub(super) fn new(is_json: bool) -> Self {
        if is_json { Self::Json } else { Self::Table }
    }
}

/// Column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    /// Minimum width in characters; longer values shift the following columns to the right.
    width: usize,
    is_number: bool,
}

impl Column {
    /// Returns a column of texts.
    pub(super) const fn text(title: &'static str, width: usize) -> Self {
        Self { title, width, is_number: false }
    }

    /// Returns a column of numbers, aligned on the right.
    pub(super) const fn number(title: &'static str, width: usize) -> Self {
        Self { title, width, is_number: true }
    }
}

/// List in progress.
pub(super) struct Lines<'a> {
    format: Format,
    columns: &'a [Column],
    has_header: bool,
}

impl<'a> Lines<'a> {
    /// Starts a list; its head is written with the first row.
    pub(super) fn new(format: Format, columns: &'a [Column]) -> Self {
        Self { format, columns, has_header: false }
    }

    /// Writes an object: unchanged for programs, as `cells` for people. Fails if the reader has gone.
    pub(super) fn put(&mut self, object: &Value, cells: impl FnOnce() -> Vec<String>) -> io::Result<()> {
        if self.format == Format::Json {
            return try_print_line(&object.to_string());
        }
        if !self.has_header {
            self.has_header = true;
            let titles: Vec<String> = self.columns.iter().map(|column| column.title.to_owned()).collect();
            try_print_line(&row(self.columns, &titles))?;
        }
        try_print_line(&row(self.columns, &cells()))
    }
}

/// Writes all objects of a paged list of the API (`offset`, `limit`).
pub(super) fn list(
    api: &ApiConnection,
    path: &str,
    lines: &mut Lines<'_>,
    cells: impl Fn(&Value) -> Vec<String>,
) -> Result<(), String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut offset = 0;
    loop {
        let page = api.call("GET", &format!("{path}{separator}offset={offset}&limit={PAGE_SIZE}"), None)?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        for item in items {
            if lines.put(item, || cells(item)).is_err() {
                return Ok(());
            }
        }
        offset += items.len();
        if items.is_empty() || page["total"].as_u64().is_some_and(|total| offset as u64 >= total) {
            return Ok(());
        }
    }
}

/// Writes one object: as JSON for programs, else a line for each member.
pub(super) fn show(format: Format, object: &Value) {
    if format == Format::Json {
        return print_line(&format!("{object:#}"));
    }
    let mut members = Vec::new();
    flatten("", object, &mut members);
    let width = members.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in members {
        print_line(&format!("{name:<width$}  {value}"));
    }
}

/// Collects the members of an object, nested ones under `outer.inner`.
fn flatten(prefix: &str, value: &Value, members: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, members);
            }
        }
        other => members.push((prefix.to_owned(), text(other))),
    }
}

/// Returns a value as a cell: a text without its quotes, `-` for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns a time of the API's as a cell: `2026-11-30 06:53:53`, in UTC.
pub(super) fn time(value: &Value) -> String {
    match value.as_str() {
        Some(time) => time.get(..19).unwrap_or(time).replace('T', " "),
        None => "-".to_owned(),
    }
}

/// Returns a number of bytes as a cell.
pub(super) fn size(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), |bytes| indicatif::HumanBytes(bytes).to_string())
}

fn row(columns: &[Column], cells: &[String]) -> String {
    let mut line = String::new();
    for (column, cell) in columns.iter().zip(cells) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let width = column.width;
        let cell = if column.is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
        line.push_str(&cell);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum CommandError {
        #[error("{0}; choose another one")]
        Repeats(#[source] io::Error),
        #[error("the file cannot be read")]
        Leaves(#[source] Box<CommandError>),
    }

    #[test]
    fn every_cause_is_printed_once() {
        let inner = CommandError::Repeats(io::Error::other("it is in use"));
        let text = error_chain(&CommandError::Leaves(Box::new(inner)));
        assert_eq!(text, "the file cannot be read: it is in use; choose another one");
    }

    #[test]
    fn rows_are_aligned_and_end_with_their_last_character() {
        let columns = [Column::text("A", 3), Column::number("B", 4), Column::text("C", 5)];
        let cells = |cells: [&str; 3]| row(&columns, &cells.map(str::to_owned));
        assert_eq!(cells(["x", "12", "y"]), "x      12  y");
        assert_eq!(cells(["longer", "12345", "y"]), "longer  12345  y");
    }

    #[test]
    fn members_of_objects_in_objects_have_names_of_their_own() {
        let mut members = Vec::new();
        flatten("", &json!({ "a": 1, "b": { "c": "d", "e": null }, "f": [1] }), &mut members);
        let members: Vec<_> = members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(members, [("a", "1"), ("b.c", "d"), ("b.e", "-"), ("f", "[1]")]);
    }

    #[test]
    fn cells_are_for_people() {
        assert_eq!(time(&json!("2026-11-30T06:53:53.123Z")), "2026-11-30 06:53:53");
        assert_eq!((time(&json!(null)), size(&json!(null)), text(&json!(null))), ("-".into(), "-".into(), "-".into()));
        assert_eq!(size(&json!(2048)), "2.00 KiB");
    }
}
