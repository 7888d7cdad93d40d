//! Write throughput of the disk alone: the ceiling of every durable write, measured without any server.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::report::{Outcome, Samples};

const SMALL_BYTES: usize = 4 * 1024;
const LARGE_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of writes of each size.
const WRITES: usize = 300;
/// Maximum duration of the writes of one size.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Times to append so many bytes to a file and sync it.
#[derive(Debug)]
pub struct Disk {
    /// For 4 KiB.
    pub small: Samples,
    /// For 16 MiB.
    pub large: Samples,
}

/// Measures the disk that holds `folder`, for at most about two seconds.
pub fn measure(folder: &Path) -> Outcome<Disk> {
    Ok(Disk { small: append(folder, SMALL_BYTES)?, large: append(folder, LARGE_BYTES)? })
}

fn append(folder: &Path, bytes: usize) -> Outcome<Samples> {
    let path = folder.join("disk");
    let mut file = File::create(&path)?;
    let chunk = vec![0xa5; bytes];
    let mut times = Samples::with_room(WRITES);
    let started = Instant::now();
    for write in 0..WRITES {
        if started.elapsed() > TIME_LIMIT {
            break;
        }
        if write % 16 == 0 && bytes == LARGE_BYTES {
            // A quarter of a gigabyte is enough to take from the disk.
            file.seek(SeekFrom::Start(0))?;
            file.set_len(0)?;
        }
        let began = Instant::now();
        file.write_all(&chunk)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(times)
}
