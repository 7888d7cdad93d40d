//! Writing to the terminal. Whoever reads may go away at any time; that is no reason to fail.

use std::{
    borrow::Cow,
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
};

use crate::config::Config;

/// Writes a line to standard output, which is for what was asked for.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", printable(line)).and_then(|()| io::stdout().flush());
}

/// Writes a line to standard error, which is for what went wrong.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// Replaces control characters but line breaks and tabs: servers, keys and names have a part in what is printed, and none of it is to be
/// taken for a command by a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let is_command = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if text.contains(is_command) { text.replace(is_command, "\u{fffd}").into() } else { text.into() }
}

/// Names something damaged. A key may hold anything, and is shown so that a terminal takes no part of it for a command.
pub(super) fn tell_of_damage(what: &str, wrong: &str) {
    say(&format!("damaged: {}: {wrong}", what.escape_debug()));
}

/// Whether a configuration has a bucket and no data folder; says so of a command that `does` something with a folder.
pub(super) fn complain_of_bucket(config: &Config, does: &str) -> bool {
    #[cfg(feature = "s3")]
    if !config.s3.bucket.is_empty() {
        complain(&format!("{does}, and this configuration has a bucket: its object store looks after it"));
        return true;
    }
    let _ = (config, does);
    false
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
