//! The storage backend.

use std::sync::Arc;

use tokio::task::spawn_blocking;

#[cfg(feature = "s3")]
use crate::storage::s3::{S3Options, S3Store};
use crate::{
    clock::{Clock, Random},
    config::Config,
    storage::{
        MemoryBudget, ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore, show_folder},
        measured::Measured,
    },
    telemetry::{Ledger, Metrics},
};

use super::{admin_token::AdminToken, error::StartError, role::Sharing};

/// The storage backend, and its object store interface.
#[derive(Debug)]
pub(super) struct Backend {
    keeping: Keeping,
    objects: Arc<dyn ObjectStore>,
    sharing: Sharing,
}

/// Kind of backend.
#[derive(Debug, Clone)]
pub(super) enum Keeping {
    /// The embedded engine in a folder.
    Embedded(Arc<EmbeddedStore>),
    /// A bucket.
    #[cfg(feature = "s3")]
    S3(Arc<S3Store>),
}

impl Backend {
    /// Opens the configured backend: a bucket, or else the embedded engine in a folder.
    pub(super) async fn open(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
        (metrics, ledger): (&Metrics, &Arc<Ledger>),
        memory: &Arc<MemoryBudget>,
    ) -> Result<Self, StartError> {
        #[cfg(feature = "s3")]
        if !config.s3.bucket.is_empty() {
            return Self::open_bucket(config, clock, random, (metrics, ledger), memory).await;
        }
        let _ = (random, memory);
        let (options, of_engine) = (EmbeddedOptions::new(&config.data), Arc::clone(clock));
        let opened = spawn_blocking(move || EmbeddedStore::open(&options, of_engine)).await;
        let engine = Arc::new(opened.map_err(|_| StartError::EngineFailed)??);
        show_folder(&config.data, metrics);
        let objects: Arc<dyn ObjectStore> =
            Arc::new(Measured::shown_by(Arc::clone(&engine), Arc::clone(clock), metrics).charging(Arc::clone(ledger)));
        Ok(Self { keeping: Keeping::Embedded(engine), objects, sharing: Sharing::Alone })
    }

    #[cfg(feature = "s3")]
    async fn open_bucket(
        config: &Config,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
        (metrics, ledger): (&Metrics, &Arc<Ledger>),
        memory: &Arc<MemoryBudget>,
    ) -> Result<Self, StartError> {
        let (clock, random) = (Arc::clone(clock), Arc::clone(random));
        let opened = S3Store::open_charging(
            S3Options { memory: Arc::clone(memory), ..config.s3.clone() },
            Arc::clone(&clock),
            Arc::clone(&random),
            Arc::clone(ledger),
        )
        .await;
        let bucket = Arc::new(opened?);
        let findings = bucket.probe(random.as_ref()).await.map_err(StartError::Probe)?;
        let sharing = if findings.conditional_writes { Sharing::Conditional } else { Sharing::Unconditional };
        let objects: Arc<dyn ObjectStore> = Arc::new(Measured::shown_by(Arc::clone(&bucket), clock, metrics));
        Ok(Self { keeping: Keeping::S3(bucket), objects, sharing })
    }

    /// Returns the kind of backend.
    pub(super) fn keeping(&self) -> Keeping {
        self.keeping.clone()
    }

    /// Returns the object store interface to all durable data.
    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Returns the clock that all gateways of the backend share: its own if it has one, else that of `machine`.
    pub(super) fn clock(&self, machine: &Arc<dyn Clock>) -> Arc<dyn Clock> {
        match &self.keeping {
            Keeping::Embedded(_) => Arc::clone(machine),
            #[cfg(feature = "s3")]
            Keeping::S3(bucket) => Arc::clone(bucket.clock()) as Arc<dyn Clock>,
        }
    }

    /// Returns how gateways share it for writing.
    pub(super) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Returns the admin token stored here, or the given one.
    pub(super) async fn admin_token(
        &self,
        config: &Config,
        objects: &dyn ObjectStore,
        random: &dyn Random,
    ) -> Result<AdminToken, StartError> {
        let given = config.token.as_ref();
        let token = match self.sharing {
            Sharing::Alone => AdminToken::open(given, &config.data, random)?,
            Sharing::Conditional | Sharing::Unconditional => AdminToken::open_shared(given, objects, random).await?,
        };
        Ok(token.require_strong(config.server.listen)?)
    }

    /// Ends background work; later calls are rejected.
    pub(super) async fn close(&self) {
        match &self.keeping {
            Keeping::Embedded(engine) => engine.close().await,
            #[cfg(feature = "s3")]
            Keeping::S3(bucket) => bucket.close().await,
        }
    }
}

impl Keeping {
    /// Reloads the credentials of an object store from their source. The current ones stay if that fails.
    #[cfg_attr(not(feature = "s3"), expect(clippy::unused_async, reason = "a folder has no keys"))]
    pub(super) async fn reload_credentials(&self) -> Result<(), StartError> {
        match self {
            Self::Embedded(_) => Ok(()),
            #[cfg(feature = "s3")]
            Self::S3(bucket) => Ok(bucket.reload_credentials().await?),
        }
    }
}
