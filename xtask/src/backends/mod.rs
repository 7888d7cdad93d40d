//! Real object stores to test against: installed below the target folder, started on free ports with empty data, and
//! stopped with the command that started them.

mod backend;
mod ceph;
mod commands;
mod garage;
mod network;
mod seaweedfs;

pub use backend::SEAWEEDFS;
pub use commands::{backend, is_known, test_s3, with};
pub use network::free_ports;
