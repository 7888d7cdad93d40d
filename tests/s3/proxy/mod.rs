//! A proxy between a gateway and its object store: it passes everything through and counts the requests on the wire; for
//! requests of choice it delays, cuts, loses, refuses, trickles or falls silent.
//!
//! It works on TCP and understands just enough of HTTP/1.1 to know where a request and its response begin and end.
//! Bytes are passed on unchanged, so signatures stay valid. Each connection from the gateway has one of its own to the
//! object store.

mod connection;
mod exchange;
mod fault;
mod forward;
mod framing;
mod head;
mod listener;
mod log;
mod plan;
mod refusal;

pub(crate) use fault::{Ending, Fault, Pace, Place};
pub(crate) use listener::Proxy;
pub(crate) use log::Request;
pub(crate) use plan::Times;
pub(crate) use refusal::Refusal;
