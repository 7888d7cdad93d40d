//! Output to the terminal. A reader may go away at any time; that is no reason to fail.

use std::{
    borrow::Cow,
    error::Error,
    fmt::Write as _,
    io::{self, Write as _},
};

use crate::config::Config;

/// Writes a line to standard output, for the result of a command.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{}", printable(line)).and_then(|()| io::stdout().flush());
}

/// Writes an error to standard error, in the format of the argument parser.
pub(super) fn print_error(error: &str) {
    complain(&format!("error: {error}"));
}

/// Writes a line of a long list to standard output; fails if the reader has gone, so that the list can end.
pub(super) fn try_say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", printable(line))
}

/// Writes a line to standard error, for messages beside the result.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// Replaces control characters except line breaks and tabs: output contains texts from servers, keys and names, and
/// none of it may control a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let is_command = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if text.contains(is_command) { text.replace(is_command, "\u{fffd}").into() } else { text.into() }
}

/// Reports a damaged object. A key may contain anything; it is escaped, so that it cannot control a terminal.
pub(super) fn tell_of_damage(what: &str, wrong: &str) {
    say(&format!("damaged: {}: {wrong}", what.escape_debug()));
}

/// Returns whether the configuration has a bucket and no data folder; if so, prints that the command `does` something
/// with a folder.
pub(super) fn complain_of_bucket(config: &Config, does: &str) -> bool {
    #[cfg(feature = "s3")]
    if !config.s3.bucket.is_empty() {
        print_error(&format!("{does}, and this configuration has a bucket: its object store looks after it"));
        return true;
    }
    let _ = (config, does);
    false
}

/// Returns an error with all its causes, on one line. Some errors repeat the text of their cause: it is printed once.
pub(super) fn whole(error: &dyn Error) -> String {
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("{0}; choose another one")]
        Repeats(#[source] io::Error),
        #[error("the file cannot be read")]
        Leaves(#[source] Box<Failure>),
    }

    #[test]
    fn no_cause_is_told_twice_and_none_is_left_out() {
        let inner = Failure::Repeats(io::Error::other("it is in use"));
        let text = whole(&Failure::Leaves(Box::new(inner)));
        assert_eq!(text, "the file cannot be read: it is in use; choose another one");
    }
}
