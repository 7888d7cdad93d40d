//! Harness of the contract tests: a whole gateway in this process, behind a real socket, and a client that can send
//! requests that no well-behaved client would.

mod accounts;
mod backend;
mod calls;
mod clock;
mod coding;
mod connection;
mod larder;
pub(crate) mod openapi;
mod reply;
mod request;
mod run;
mod server;
mod store;

pub(crate) use backend::{Backend, run};
pub(crate) use calls::Calls;
pub(crate) use clock::ShiftedClock;
pub(crate) use coding::{brotli, deflate, gunzip, gzip};
pub(crate) use connection::Connection;
pub(crate) use larder::{Larder, PUBLIC_URL, STORES, TOKEN, USERNAME};
pub(crate) use reply::Reply;
pub(crate) use run::{RUNS, Run};
pub(crate) use store::Store;

/// A test that runs over every backend: `contract_test!(name_of_the_promise, async |larder: Larder| { ... })`.
macro_rules! contract_test {
    ($name:ident, $test:expr) => {
        mod $name {
            #[allow(unused_imports, reason = "a test may need nothing but the harness")]
            use super::*;

            fn test(larder: crate::harness::Larder) -> futures_util::future::BoxFuture<'static, ()> {
                Box::pin(async move {
                    let test = $test;
                    test(larder).await;
                })
            }

            #[test]
            fn memory() {
                crate::harness::run(crate::harness::Backend::Memory, test);
            }

            #[test]
            fn embedded() {
                crate::harness::run(crate::harness::Backend::Embedded, test);
            }

            #[cfg(feature = "s3")]
            #[test]
            fn s3() {
                crate::harness::run(crate::harness::Backend::S3, test);
            }
        }
    };
}
