//! Metrics of a data folder: free space on its disk, and the time of its last backup. Each is read on demand.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use larder_runtime::{
    clock::Timestamp,
    telemetry::{Kind, Metrics, Sample},
};

use super::{access::replaced_file, paths::Paths};

/// Maximum number of bytes of the note on the last backup.
const MAX_NOTE_BYTES: u64 = 64;

/// Registers metrics of the disk and the last backup of the folder at `root`.
pub fn show(root: &Path, metrics: &Metrics) {
    let disk = |root: &Path| rustix::fs::statvfs(root).ok();
    let paths = Paths::new(root);
    let help = "Bytes on the disk of the data folder that Larder can still write.";
    let of = paths.clone();
    metrics.watch("larder_disk_free_bytes", help, Kind::Gauge, move || {
        disk(of.root()).map(|disk| Sample::plain(disk.f_bavail.saturating_mul(disk.f_frsize))).into_iter().collect()
    });
    let help = "Size of the disk of the data folder in bytes.";
    let of = paths.clone();
    metrics.watch("larder_disk_size_bytes", help, Kind::Gauge, move || {
        disk(of.root()).map(|disk| Sample::plain(disk.f_blocks.saturating_mul(disk.f_frsize))).into_iter().collect()
    });
    let help = "Unix time of the last backup of the data folder by `larder backup`; 0 if there was none.";
    metrics.watch("larder_last_backup_timestamp_seconds", help, Kind::Gauge, move || {
        let taken_at = last_backup(&paths).map_or(0, Timestamp::as_millis);
        vec![Sample::plain(u64::try_from(taken_at / 1000).unwrap_or_default())]
    });
}

/// Records in a data folder that it was backed up.
pub(super) fn note_backup(paths: &Paths, taken_at: Timestamp) -> io::Result<()> {
    writeln!(replaced_file(&paths.last_backup())?, "{taken_at}")
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
    fn the_room_on_the_disk_and_the_last_backup_are_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::default();
        show(folder.path(), &metrics);
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
            note_backup(&paths, Timestamp::from_millis(seconds * 1000)).expect("it is written");
            #[expect(clippy::cast_precision_loss, reason = "it is exact")]
            let expected = seconds as f64;
            assert_eq!(value("larder_last_backup_timestamp_seconds").to_bits(), expected.to_bits());
        }
        fs::write(paths.last_backup(), "yesterday").expect("it is written");
        assert_eq!(value("larder_last_backup_timestamp_seconds").to_bits(), 0_f64.to_bits());
    }
}
