//! Load over sockets: connections that ask, what they ask for, and what it costs who answers. The benchmarks that
//! measure the program from outside include this folder.

pub mod bare;
pub mod case;
pub mod clients;
pub mod connection;
pub mod listen;
pub mod process;
pub mod side;
