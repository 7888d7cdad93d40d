//! The newcomer's first hour (`docs/FIRST_HOUR.md`) as a test: its commands in one Bash, one after the other, and what it says comes out of
//! them held against what does.

use std::fmt::Write;
use std::fs::{self, File};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::guard::Guarded;
use crate::{shell, tools};

/// What is not run: the program is built by then, for tests and not for speed.
const BUILDING: &str = "Build it";

/// How long the whole may take.
const LIMIT: Duration = Duration::from_mins(5);

/// How often it is looked at in between.
const POLL: Duration = Duration::from_millis(200);

/// What stands in the output behind that of each block.
const MARK: &str = "-- done with block";

/// Commands, and lines that have to come out of them.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    section: String,
    commands: String,
    expected: Vec<String>,
}

/// Makes sure of what the hour takes beside Rust and Python.
///
/// # Errors
/// In words, with the command that installs what is missing.
pub fn install() -> Result<(), String> {
    tools::need_curl_and_openssl()
}

/// Runs the hour.
///
/// # Errors
/// In words with what came out, when a command fails, or something else comes out than the document says.
pub fn run() -> Result<(), String> {
    let document = shell::root().join("docs").join("FIRST_HOUR.md");
    let text = fs::read_to_string(&document).map_err(|error| format!("{}: {error}", document.display()))?;
    let mut blocks = blocks(&text);
    blocks.retain(|block| block.section != BUILDING);
    if blocks.len() < 10 {
        return Err(format!("{} has only {} blocks of commands", document.display(), blocks.len()));
    }
    let output = output_of(&blocks)?;
    complaints(&blocks, &output).map_err(|complaint| format!("{}: {complaint}\n\n{output}", document.display()))?;
    println!("{} blocks of commands did what the document says", blocks.len());
    Ok(())
}

/// The blocks of a document, each with the lines that are shown below it.
fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut section): (Vec<Block>, _) = (Vec::new(), "");
    let mut lines = document.lines();
    // Whether nothing but empty lines came since the last block of commands.
    let mut is_below = false;
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if language == "sh" {
                let commands = body.join("\n");
                blocks.push(Block { section: section.to_owned(), commands, expected: Vec::new() });
            } else if let Some(block) = blocks.last_mut().filter(|_| is_below) {
                block.expected = body.into_iter().map(str::to_owned).collect();
            }
            is_below = language == "sh";
        } else if !line.is_empty() {
            is_below = false;
        }
    }
    blocks
}

/// What comes out of the commands, with a [`MARK`] behind each block up to the first that fails.
fn output_of(blocks: &[Block]) -> Result<String, String> {
    let folder = shell::target().join("hour");
    // What an earlier hour has left.
    let left = [folder.clone(), shell::target().join("first-hour")];
    for left in left.iter().filter(|left| left.exists()) {
        fs::remove_dir_all(left).map_err(|error| format!("{}: {error}", left.display()))?;
    }
    let (script, log, guarded) = (folder.join("script"), folder.join("log"), folder.join("guarded"));
    let written = fs::create_dir_all(&guarded).and_then(|()| fs::write(&script, script_of(blocks)));
    let made = written.and_then(|()| File::create(&log));
    let file = made.map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = Command::new("bash");
    command.arg(&script);
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if ["LARDER_", "AWS_", "CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&variable);
        }
    }
    command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
    let mut hour = Guarded::start(&command, &guarded, file)?;
    let deadline = Instant::now() + LIMIT;
    while hour.ended().is_none() && Instant::now() < deadline {
        sleep(POLL);
    }
    drop(hour);
    fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))
}

fn script_of(blocks: &[Block]) -> String {
    let (root, built) = (shell::root().display(), shell::target().join("debug"));
    let mut script = format!("set -euo pipefail\ncd '{root}'\nexport PATH='{}':\"$PATH\"\n", built.display());
    for (index, block) in blocks.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(script, "{}\necho; echo '{MARK} {index}'\n", block.commands);
    }
    script
}

/// Fails with the first block that did not come to its end, or out of which something else came.
fn complaints(blocks: &[Block], output: &str) -> Result<(), String> {
    let mut rest = output;
    for (index, block) in blocks.iter().enumerate() {
        let mark = format!("\n{MARK} {index}\n");
        let Some((part, further)) = rest.split_once(&mark) else {
            return Err(format!("under {:?} this fails:\n{}", block.section, block.commands));
        };
        rest = further;
        let lines: Vec<&str> = part.lines().collect();
        let missing = block.expected.iter().find(|expected| !lines.iter().any(|line| is_like(line, expected)));
        if let Some(missing) = missing {
            return Err(format!("under {:?} this does not come out: {missing}", block.section));
        }
    }
    Ok(())
}

/// Whether a line is as expected, where `…` stands for anything.
fn is_like(line: &str, expected: &str) -> bool {
    let Some((first, others)) = expected.split_once('…') else { return line == expected };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = others.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.split_once(part) {
            Some((_, further)) => rest = further,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_lines_that_are_shown_below_them() {
        let document = "## One\n```text\nno\n```\n```sh\na\nb\n```\n\n```text\nx…\n```\nwords\n```text\nno\n```\n## Two\n```sh\nc\n```\n";
        let block = |section: &str, commands: &str, expected: &[&str]| Block {
            section: section.to_owned(),
            commands: commands.to_owned(),
            expected: expected.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(blocks(document), [block("One", "a\nb", &["x…"]), block("Two", "c", &[])]);
    }

    #[test]
    fn what_fails_or_comes_out_otherwise_is_named() {
        let blocks = blocks("## One\n```sh\na\n```\n\n```text\nx…z\n```\n## Two\n```sh\nc\n```\n");
        let whole = format!("xyz\n\n{MARK} 0\n\n{MARK} 1\n");
        assert_eq!(complaints(&blocks, &whole), Ok(()));
        assert!(complaints(&blocks, &whole.replace('z', "y")).unwrap_err().contains("does not come out: x…z"));
        assert!(complaints(&blocks, &whole.replace(" 1", "")).unwrap_err().contains("under \"Two\" this fails"));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        for (line, expected) in [("abc", "abc"), ("abc", "…"), ("abc", "a…"), ("abc", "…c"), ("abcabc", "a…b…c")]
        {
            assert!(is_like(line, expected), "{line} {expected}");
        }
        for (line, expected) in [("abc", "ab"), ("abc", "b…"), ("abc", "…b"), ("abc", "a…x…"), ("", "a")] {
            assert!(!is_like(line, expected), "{line} {expected}");
        }
    }
}
