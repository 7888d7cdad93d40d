//! Status of a data folder without its lock: format, free space, last backup. A process that serves from the folder is
//! not disturbed.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use rustix::fs::statvfs;

use larder_runtime::{
    clock::Timestamp,
    telemetry::{MetricKind, Metrics, Sample},
};

use super::{
    folder::{FORMAT_LIMIT, FORMAT_VERSION, Paths, reject_foreign},
    io_error::OpenError,
    permissions::create_or_truncate,
};

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
