//! Inspection of a data folder. Its status needs no lock: format, free space, last backup. A process that serves from
//! the folder is not disturbed. The integrity check reads every object.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use rusqlite::Connection;
use rustix::fs::statvfs;

use larder_runtime::{
    clock::Timestamp,
    telemetry::{MetricKind, Metrics, Sample},
};

use super::{
    blob_files::BlobReader,
    folder::{FORMAT_LIMIT, FORMAT_VERSION, Folder, Paths, create_or_truncate, reject_foreign},
    index::{self, connect_reader},
    io_error::{OpenError, map_sqlite_error},
    rows::{self, Entry, Location},
};
use crate::store::{Error, MAX_LIST_KEYS, Result};

/// Status of a data folder, as far as it can be read without the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStatus {
    /// Its format text; `None` in an empty place.
    pub format: Option<String>,
    /// True if this version writes that format.
    pub is_current: bool,
    /// Free bytes of its disk.
    pub free_bytes: u64,
}

impl FolderStatus {
    /// Reads the status of the folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let format = match fs::read(folder.join("format")) {
            Ok(text) => {
                let text = String::from_utf8_lossy(&text[..text.len().min(FORMAT_LIMIT)]).into_owned();
                Some(text.lines().nth(1).unwrap_or_default().to_owned())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_current = format.as_deref() == Some(FORMAT_VERSION);
        // A missing folder will be on the disk of its closest existing parent.
        let existing = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let disk = statvfs(existing)?;
        Ok(Self { format, is_current, free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize) })
    }

    /// Rejects a folder with other contents, which cannot become a data folder.
    pub fn reject_foreign(folder: &Path) -> Result<(), OpenError> {
        reject_foreign(&Paths::new(folder))
    }

    /// Rejects a missing folder, and one with another format than this version writes.
    pub fn require_current(folder: &Path) -> Result<(), OpenError> {
        let status = Self::read(folder).map_err(|error| OpenError::from_io(folder, error))?;
        match status.format {
            Some(_) if status.is_current => Ok(()),
            Some(found) => {
                Err(OpenError::UnknownFormat { folder: folder.to_owned(), found, known: FORMAT_VERSION.to_owned() })
            }
            None => Err(OpenError::from_io(&folder.join("format"), io::ErrorKind::NotFound.into())),
        }
    }
}

/// Maximum number of bytes of the note on the last backup.
const MAX_NOTE_BYTES: u64 = 64;

/// Registers metrics of the disk and the last backup of the folder at `root`.
pub fn register_folder_metrics(root: &Path, metrics: &Metrics) {
    let disk = |root: &Path| rustix::fs::statvfs(root).ok();
    let paths = Paths::new(root);
    let help = "Current free space on the disk of the data folder in bytes.";
    let of = paths.clone();
    metrics.register("larder_disk_free_bytes", help, MetricKind::Gauge, move || {
        disk(of.root()).map(|disk| Sample::new(disk.f_bavail.saturating_mul(disk.f_frsize))).into_iter().collect()
    });
    let help = "Size of the disk of the data folder in bytes.";
    let of = paths.clone();
    metrics.register("larder_disk_size_bytes", help, MetricKind::Gauge, move || {
        disk(of.root()).map(|disk| Sample::new(disk.f_blocks.saturating_mul(disk.f_frsize))).into_iter().collect()
    });
    let help = "Unix time of the last `larder backup` of the data folder in seconds; 0 if there was none.";
    metrics.register("larder_last_backup_timestamp_seconds", help, MetricKind::Gauge, move || {
        let taken_at = last_backup(&paths).map_or(0, Timestamp::as_millis);
        vec![Sample::new(u64::try_from(taken_at / 1000).unwrap_or_default())]
    });
}

/// Records in a data folder that it was backed up.
pub(super) fn record_backup(paths: &Paths, taken_at: Timestamp) -> io::Result<()> {
    writeln!(create_or_truncate(&paths.last_backup())?, "{taken_at}")
}

fn last_backup(paths: &Paths) -> Option<Timestamp> {
    let path = paths.last_backup();
    // No file of ours is longer.
    fs::metadata(&path).ok().filter(|found| found.is_file() && found.len() <= MAX_NOTE_BYTES)?;
    fs::read_to_string(&path).ok()?.trim().parse().ok()
}

// Verifies all objects of a data folder against their hashes. Changes nothing.

/// Result of an inspection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntegrityReport {
    /// Number of objects in the index.
    pub objects: u64,
    /// Bytes of the undamaged ones.
    pub bytes: u64,
    /// Number of damaged ones.
    pub damaged: u64,
    /// True if the index itself is damaged: then there may be more objects than it names.
    pub is_index_damaged: bool,
}

impl IntegrityReport {
    /// Returns whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && !self.is_index_damaged
    }
}

/// Reads every object in `folder`. Reports each damaged one by its key, and damage of the index by its name.
/// index, by its name. Blocks for as long as the disk takes.
///
/// # Errors
/// If a process serves from the folder, if it is missing, or if it has another format. Damage is no error.
pub fn check_integrity(
    folder: &Path,
    report: impl FnMut(&str, &str),
) -> std::result::Result<IntegrityReport, OpenError> {
    FolderStatus::require_current(folder)?;
    let folder = Folder::open(folder)?;
    check_objects(&folder, report)
}

/// Inspects a folder that is locked already, or unknown to others.
pub fn check_objects(paths: &Paths, report: impl FnMut(&str, &str)) -> std::result::Result<IntegrityReport, OpenError> {
    let connection = connect_reader(&paths.index()).map_err(|error| OpenError::from_sqlite(&paths.index(), error))?;
    let mut check = IntegrityCheck { paths, connection, found: IntegrityReport::default(), report };
    check.read_index();
    check.read_objects();
    Ok(check.found)
}

struct IntegrityCheck<'a, F> {
    paths: &'a Paths,
    connection: Connection,
    found: IntegrityReport,
    report: F,
}

impl<F: FnMut(&str, &str)> IntegrityCheck<'_, F> {
    fn read_index(&mut self) {
        let problems = index::integrity_problems(&self.connection).unwrap_or_else(|error| vec![error.to_string()]);
        for problem in problems {
            self.report_index(&problem);
        }
    }

    fn read_objects(&mut self) {
        let mut last: Option<String> = None;
        loop {
            let page = match rows::list(&self.connection, "", last.as_deref(), MAX_LIST_KEYS) {
                Ok(page) => page,
                Err(error) => {
                    let behind = last.map_or_else(String::new, |last| format!(" behind {last}"));
                    return self.report_index(&format!("cannot read keys{behind}: {error}"));
                }
            };
            let Some(end) = page.last() else { return };
            last = Some(end.key.clone());
            for object in page {
                self.found.objects += 1;
                match self.read_object(&object.key) {
                    Ok(size) => self.found.bytes += size,
                    Err(error) => {
                        self.found.damaged += 1;
                        (self.report)(&object.key, &error.to_string());
                    }
                }
            }
        }
    }

    fn report_index(&mut self, wrong: &str) {
        self.found.is_index_damaged = true;
        (self.report)(index::FILE, wrong);
    }

    /// Returns the size.
    fn read_object(&self, key: &str) -> Result<u64> {
        let (entry, bytes) =
            rows::find_with_value(&self.connection, key).map_err(map_sqlite_error)?.ok_or(Error::NotFound)?;
        match entry.location {
            Location::Blob(number) => self.read_file(number, &entry)?,
            Location::Empty | Location::Row | Location::Inline(_) => drop(entry.check_inline(bytes)?),
        }
        Ok(entry.size)
    }

    fn read_file(&self, number: i64, entry: &Entry) -> Result<()> {
        let mut reader = BlobReader::open(&self.paths.blob(number), entry, &(0..entry.size))
            .map_err(|error| Error::Corrupt(format!("its file {number:x} cannot be opened: {error}")))??;
        while !reader.read()?.is_empty() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_seen_without_being_made() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("data");
        let status = FolderStatus::read(&folder).expect("its parent is there");
        assert!(status.format.is_none() && !status.is_current && status.free_bytes > 0);
        assert!(!folder.exists());
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("format"), "larder data folder\nversion 2\n").expect("a file");
        let status = FolderStatus::read(&folder).expect("it is there");
        assert_eq!(status.format.as_deref(), Some("version 2"));
        assert!(!status.is_current);
    }

    #[test]
    fn the_room_on_the_disk_and_the_last_backup_are_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::default();
        register_folder_metrics(folder.path(), &metrics);
        let value = |name: &str| -> f64 {
            let text = metrics.render();
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().expect("a number")
        };
        let (free, size) = (value("larder_disk_free_bytes"), value("larder_disk_size_bytes"));
        assert!(0.0 < free && free <= size, "{free} of {size}");
        assert_eq!(value("larder_last_backup_timestamp_seconds").to_bits(), 0_f64.to_bits());
        let paths = Paths::new(folder.path());
        for seconds in [1_700_000_000, 1_796_000_000] {
            record_backup(&paths, Timestamp::from_millis(seconds * 1000)).expect("it is written");
            #[expect(clippy::cast_precision_loss, reason = "it is exact")]
            let expected = seconds as f64;
            assert_eq!(value("larder_last_backup_timestamp_seconds").to_bits(), expected.to_bits());
        }
        fs::write(paths.last_backup(), "yesterday").expect("it is written");
        assert_eq!(value("larder_last_backup_timestamp_seconds").to_bits(), 0_f64.to_bits());
    }
}
