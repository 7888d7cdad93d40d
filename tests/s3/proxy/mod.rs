//! A proxy between a gateway and its object store: it passes everything through and counts the requests on the wire; for
//! requests of choice it delays, cuts, loses, refuses, trickles or falls silent.
//!
//! It works on TCP and understands just enough of HTTP/1.1 to know where a request and its response begin and end.
//! Bytes are passed on unchanged, so signatures stay valid. Each connection from the gateway has one of its own to the
//! object store.

mod connection;
mod exchange;
mod faults;
mod forward;
mod framing;
mod listener;

pub(crate) use faults::{Ending, Fault, Pace, Place, Refusal, Request, Times};
pub(crate) use listener::Proxy;
