//! Load over sockets: connections that send requests, the requests, and their cost for the server. The benchmarks that
//! measure the program from outside include this folder.

pub mod bare;
pub mod case;
pub mod clients;
pub mod connection;
pub mod listen;
pub mod process;
pub mod side;
