//! The power goes: whatever was acknowledged is there again, whatever of the rest had reached the disk.
//!
//! A process works on a data folder under `strace`, which writes down every call that changes a file, a folder, or what
//! of them is durable. From that [`disk`] knows at each moment what a disk must hold (what was synced) and what it may
//! hold beside it, and makes folders as they may be found after a loss of power: any part of what was not synced, in any
//! order that a file system keeps, down to torn pages. Each of them is opened and compared with what was acknowledged.

mod disk;
mod image;
mod trace;
mod workload;

use std::path::Path;

use larder_runtime::clock::SeededRandom;
use tempfile::TempDir;

use crate::random_operations::Dice;

use disk::{Disk, Lost};
use image::Expected;
use trace::{Call, Event};
use workload::Diary;

/// The seeds of the workloads, each a history of its own.
const SEEDS: [u64; 2] = [1, 2];
/// Number of images with a random part of the unsynced changes, at each moment.
const RANDOM_IMAGES: usize = 2;

/// Returns a folder for images: in memory where possible, for there are hundreds.
fn room_for_images() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_loss_of_power_at_any_moment() {
    let mut images = 0;
    for seed in SEEDS {
        let room = room_for_images();
        images += lose_power_everywhere(&room, seed).await;
    }
    println!("{images} images of a disk after a loss of power");
    assert!(images > 500, "only {images} images: hardly anything was synced");
}

/// Works by `seed`, then looks at images of the disk at every moment at which something becomes durable: how many.
async fn lose_power_everywhere(room: &TempDir, seed: u64) -> usize {
    let events = workload::trace(room.path(), seed);
    let diary = Diary::of(&events);
    let dice = Dice(SeededRandom::new(seed));
    let mut disk = Disk::new(&room.path().join("disk"));
    let mut images = 0;
    for event in &events {
        if !matches!(event.call, Call::Sync { .. }) {
            disk.apply(event);
            continue;
        }
        let expected = diary.expected(event.ended);
        // Changes that were acknowledged before must not need this sync; later ones may need it.
        for lost in std::iter::once(Lost::Everything).chain((0..RANDOM_IMAGES).map(|_| Lost::random(&dice))) {
            look(&disk, &lost, &dice, &expected, room, (seed, event)).await;
            images += 1;
        }
        disk.apply(event);
        look(&disk, &Lost::Everything, &dice, &expected, room, (seed, event)).await;
        images += 1;
    }
    images
}

async fn look(disk: &Disk, lost: &Lost, dice: &Dice, expected: &Expected, room: &TempDir, at: (u64, &Event)) {
    let folder = room.path().join("image");
    disk.write_image(&folder, lost, dice);
    if let Err(wrong) = expected.hold_for(&folder.join("data")).await {
        let kept = std::env::temp_dir().join("larder-power-loss");
        let _ = std::fs::remove_dir_all(&kept);
        disk.write_image(&kept, &Lost::Everything, dice);
        let (seed, event) = at;
        panic!("seed {seed}, {lost:?}, at {event:?}: {wrong}; what was synced is in {}", kept.display());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
