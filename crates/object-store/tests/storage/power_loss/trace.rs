//! File operations of a process, as `strace -f -y -xx` wrote them down.

use std::{collections::HashMap, path::PathBuf};

/// A call that succeeded. Moments are lines of the trace.
#[derive(Debug)]
pub struct Event {
    /// When it began: from then on it may have had its effect.
    pub begun: usize,
    /// When it ended: from then on it has.
    pub ended: usize,
    /// The call.
    pub call: Call,
}

/// Calls that change what a disk holds.
pub enum Call {
    /// A file was opened; created if need be, and emptied if the flags say so.
    Open { path: PathBuf, is_emptied: bool },
    /// Bytes were written, at their place or behind the last ones.
    Write { path: PathBuf, offset: Option<usize>, bytes: Vec<u8> },
    /// A file was cut off or made longer.
    Length { path: PathBuf, length: usize },
    /// Makes earlier changes to this file or folder durable.
    Sync { path: PathBuf },
    /// A folder was made.
    MakeFolder { path: PathBuf },
    /// A file has another name.
    Rename { from: PathBuf, to: PathBuf },
    /// A file has one more name.
    Link { from: PathBuf, to: PathBuf },
    /// A name is gone.
    Remove { path: PathBuf },
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { path, is_emptied } => write!(f, "open {path:?}, emptied: {is_emptied}"),
            Self::Write { path, offset, bytes } => write!(f, "write {} bytes at {offset:?} of {path:?}", bytes.len()),
            Self::Length { path, length } => write!(f, "length {length} of {path:?}"),
            Self::Sync { path } => write!(f, "sync {path:?}"),
            Self::MakeFolder { path } => write!(f, "make folder {path:?}"),
            Self::Rename { from, to } => write!(f, "rename {from:?} to {to:?}"),
            Self::Link { from, to } => write!(f, "link {from:?} as {to:?}"),
            Self::Remove { path } => write!(f, "remove {path:?}"),
        }
    }
}

/// The calls that are traced: all by which a file's bytes or name may change, or become durable.
pub const CALLS: &str = "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,\
    copy_file_range,sendfile,splice,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,\
    fsync,fdatasync,sync_file_range,syncfs,sync,msync";

/// Returns the events of a trace, in the order of their effects: of a sync that is its end, of all others their
/// beginning. Files are omitted for which `is_of_interest` returns `false`.
pub fn parse(trace: &str, is_of_interest: impl Fn(&str) -> bool) -> Vec<Event> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut events = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(process, (at, first));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (since, first) = begun.remove(process).unwrap();
            let second = resumed.split_once(" resumed>").unwrap().1;
            events.extend(event(since, at, &format!("{first}{second}"), &is_of_interest));
        } else if !rest.starts_with("+++") && !rest.starts_with("---") {
            events.extend(event(at, at, rest, &is_of_interest));
        }
    }
    events.sort_by_key(|event| if matches!(event.call, Call::Sync { .. }) { event.ended } else { event.begun });
    events
}

fn event(begun: usize, ended: usize, text: &str, is_of_interest: impl Fn(&str) -> bool) -> Option<Event> {
    let (name, rest) = text.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let arguments: Vec<&str> = arguments.trim_end().strip_suffix(')')?.split(", ").collect();
    let path = |at: usize| path_in(arguments[at]);
    let of_interest = |at: usize| path(at).is_some_and(|path| is_of_interest(&path));
    let call = match name {
        "openat" if of_interest(1) && arguments[2].contains("O_CREAT") => {
            Call::Open { path: path(1)?.into(), is_emptied: arguments[2].contains("O_TRUNC") }
        }
        "open" | "creat" if of_interest(0) => panic!("an old call: {text}"),
        "write" if of_interest(0) => {
            Call::Write { path: path(0)?.into(), offset: None, bytes: written(arguments[1], result) }
        }
        "pwrite64" if of_interest(0) => Call::Write {
            path: path(0)?.into(),
            offset: Some(arguments[3].parse().unwrap()),
            bytes: written(arguments[1], result),
        },
        "ftruncate" if of_interest(0) => Call::Length { path: path(0)?.into(), length: arguments[1].parse().unwrap() },
        "fsync" | "fdatasync" if of_interest(0) => Call::Sync { path: path(0)?.into() },
        "mkdir" if of_interest(0) => Call::MakeFolder { path: path(0)?.into() },
        "rename" if of_interest(0) => Call::Rename { from: path(0)?.into(), to: path(1)?.into() },
        "linkat" if of_interest(1) => Call::Link { from: path(1)?.into(), to: path(3)?.into() },
        "unlink" if of_interest(0) => Call::Remove { path: path(0)?.into() },
        _ => {
            let is_known = matches!(name, "openat" | "write" | "pwrite64" | "ftruncate" | "fsync" | "fdatasync");
            let concerns_us = (0..arguments.len()).any(of_interest);
            assert!(is_known || !concerns_us, "a call that this model does not know: {name}");
            return None;
        }
    };
    Some(Event { begun, ended, call })
}

/// Returns the path of an argument: of `"\x2f"` the decoded text, of `3<\x2f>` the present name of the file. `None` for
/// a file without a name, and for arguments that are no path.
fn path_in(argument: &str) -> Option<String> {
    let spelled = match argument.strip_prefix('"') {
        Some(string) => string.strip_suffix('"')?,
        None => argument.split_once('<')?.1.strip_suffix('>')?,
    };
    String::from_utf8(bytes_in(spelled)?).ok()
}

fn written(argument: &str, result: &str) -> Vec<u8> {
    let bytes = argument.strip_prefix('"').and_then(|string| bytes_in(string.strip_suffix('"')?)).unwrap();
    assert_eq!(result, bytes.len().to_string(), "a write that was cut short");
    bytes
}

/// Decodes `\x2f\x74`.
fn bytes_in(spelled: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    spelled
        .as_bytes()
        .chunks(4)
        .map(|chunk| match chunk {
            [b'\\', b'x', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}
