//! Writing to the terminal. Whoever reads may go away at any time; that is no reason to fail.

use std::{
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
};

/// Writes a line to standard output, which is for what was asked for.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}").and_then(|()| io::stdout().flush());
}

/// Writes a line to standard error, which is for what went wrong.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// An error with all its causes, on one line.
pub(super) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
