//! Real object stores to test against: installed below the target folder, started on free ports with new data, gone with the
//! command that started them.

mod backend;
mod ceph;
mod commands;
mod garage;
mod ports;
mod probe;
mod running;
mod seaweedfs;
mod server;

pub use backend::SEAWEEDFS;
pub use commands::{backend, is_known, test_s3, with};
pub use ports::free as free_ports;
