//! Load over sockets: connections that send requests, the requests, and their cost for the server. The benchmarks that
//! measure the program from outside include this folder.

pub mod case;
pub mod clients;
pub mod hyper_baseline;
pub mod variant;
