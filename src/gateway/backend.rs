//! What everything durable is kept by.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::{
    clock::Clock,
    config::Config,
    storage::{
        ObjectStore,
        embedded::{EmbeddedOptions, EmbeddedStore},
        measured::Measured,
    },
};

use super::{error::StartError, role::Sharing};

/// The engine, and the door to it.
#[derive(Debug)]
pub(super) struct Backend {
    engine: Arc<EmbeddedStore>,
    objects: Arc<dyn ObjectStore>,
    sharing: Sharing,
}

impl Backend {
    /// Opens the engine that the configuration asks for.
    pub(super) async fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, StartError> {
        let (options, clock) = (EmbeddedOptions::new(&config.data), Arc::clone(clock));
        let opened = spawn_blocking(move || EmbeddedStore::open(&options, clock)).await;
        let engine = Arc::new(opened.map_err(|_| StartError::EngineFailed)??);
        let objects: Arc<dyn ObjectStore> = Arc::new(Measured::new(Arc::clone(&engine)));
        Ok(Self { engine, objects, sharing: Sharing::Alone })
    }

    /// The door to everything durable.
    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Who can write to it, and how.
    pub(super) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Ends the engine; calls that come late are refused.
    pub(super) async fn close(&self) {
        self.engine.close().await;
    }
}
