//! Records and files: the media type of a file, and the atomic write of a record into a file.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::transfer;

use super::http::Download;

/// Media type of a record of unknown type.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Path that means standard input or output.
pub(super) const STANDARD: &str = "-";

/// Returns the media type for a file name extension.
pub(super) fn media_type(name: &Path) -> String {
    let ending = name.extension().and_then(|ending| ending.to_str());
    ending.and_then(transfer::media_type).unwrap_or_else(|| UNKNOWN_TYPE.to_owned())
}

/// Returns whether a media type is that of a text.
pub(super) fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/") || essence == "application/json" || essence.ends_with("+json")
}

/// Opens a file, or standard input; returns it with its length in bytes if known.
pub(super) fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), String> {
    if path.as_os_str() == STANDARD {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let unreadable = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(format!("cannot read {}: it is a folder", path.display()));
    }
    // The length of a pipe or a device is unknown before its end.
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), length))
}

/// Writes a record into a file atomically: after a failure the old file stays.
pub(super) fn save(record: Download, path: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let unfinished = path.with_file_name(name);
    let mut file = File::create(&unfinished)?;
    let saved = record.save(&mut file).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unfinished, path));
    if saved.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    saved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_media_type_of_a_file() {
        for (name, expected) in [
            ("a.json", "application/json; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.jpg", "image/jpeg"),
            ("page.html", "text/html; charset=utf-8"),
            ("a", UNKNOWN_TYPE),
            ("a.nothing-known", UNKNOWN_TYPE),
        ] {
            assert_eq!(media_type(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn texts_are_told_from_bytes() {
        for text in ["application/json; charset=utf-8", "text/html", "application/ld+json"] {
            assert!(is_text(text), "{text}");
        }
        for other in ["image/jpeg", "application/octet-stream", ""] {
            assert!(!is_text(other), "{other}");
        }
    }
}
