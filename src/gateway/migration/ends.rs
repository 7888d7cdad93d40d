//! The two ends of a migration, opened from one configuration that names both the data folder and the bucket.

use std::sync::Arc;

use crate::{
    clock::{Clock, Random},
    config::Config,
    storage::{
        MemoryBudget, ObjectStore,
        embedded::FolderStanding,
        s3::{S3Options, S3Store},
        sole_writer::SoleWriter,
    },
    telemetry::{Ledger, Metrics},
};

use super::{
    super::{admin_token::AdminToken, backend::Backend, error::StartError, role::Sharing},
    error::MigrationError,
};

/// Direction of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the data folder to the bucket.
    ToBucket,
    /// From the bucket to the data folder.
    ToFolder,
}

/// An end of a migration.
#[derive(Debug)]
pub(super) struct End {
    /// Its objects, with conditional writes.
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Description of the end.
    pub(super) name: String,
    /// True for a bucket.
    pub(super) is_bucket: bool,
    backend: Option<Backend>,
}

/// Dependencies for opening an end.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    /// Names both ends.
    pub(super) config: &'a Config,
    /// The machine's clock.
    pub(super) clock: &'a Arc<dyn Clock>,
    /// Source of randomness.
    pub(super) random: &'a Arc<dyn Random>,
}

impl Direction {
    /// Returns descriptions of source and destination.
    pub fn names(self, config: &Config) -> (String, String) {
        let folder = format!("the data folder {}", config.data.display());
        let origin = config.s3.endpoint.as_ref().map_or_else(|| "AWS".to_owned(), ToString::to_string);
        let below = if config.s3.prefix.is_empty() { String::new() } else { format!(", below {}", config.s3.prefix) };
        let bucket = format!("the bucket {} at {origin}{below}", config.s3.bucket);
        match self {
            Self::ToBucket => (folder, bucket),
            Self::ToFolder => (bucket, folder),
        }
    }
}

impl Opening<'_> {
    /// Opens the source. A folder is locked for this process.
    pub(super) async fn source(&self, direction: Direction) -> Result<End, MigrationError> {
        let (name, _) = direction.names(self.config);
        if direction == Direction::ToBucket && !self.has_folder(&name)? {
            return Err(MigrationError::NothingThere { name });
        }
        self.open(direction == Direction::ToFolder, name.clone())
            .await
            .map_err(|cause| MigrationError::Source { name, cause: cause.into() })
    }

    /// Opens the destination, and creates it if it is missing.
    pub(super) async fn destination(&self, direction: Direction) -> Result<End, MigrationError> {
        let (_, name) = direction.names(self.config);
        let opened = self.open(direction == Direction::ToBucket, name.clone()).await;
        opened.map_err(|cause| MigrationError::Destination { name, cause: cause.into() })
    }

    /// Opens the destination read-only; `None` if it is missing.
    pub(super) async fn destination_to_look_at(&self, direction: Direction) -> Result<Option<End>, MigrationError> {
        let (_, name) = direction.names(self.config);
        if direction == Direction::ToFolder {
            return if self.has_folder(&name)? { self.destination(direction).await.map(Some) } else { Ok(None) };
        }
        let (clock, random) = (Arc::clone(self.clock), Arc::clone(self.random));
        let failed = |cause: StartError| MigrationError::Destination { name: name.clone(), cause: cause.into() };
        let bucket = S3Store::connect(self.config.s3.clone(), clock, random, Arc::default()).await;
        let bucket = bucket.map_err(|cause| failed(cause.into()))?;
        if !bucket.bucket_is_there().await.map_err(|cause| failed(StartError::Probe(cause)))? {
            return Ok(None);
        }
        Ok(Some(End { objects: Arc::new(bucket), name, is_bucket: true, backend: None }))
    }

    fn has_folder(&self, name: &str) -> Result<bool, MigrationError> {
        let standing = FolderStanding::of(&self.config.data);
        let standing = standing.map_err(|cause| MigrationError::Unreadable { name: name.to_owned(), cause })?;
        Ok(standing.format.is_some())
    }

    async fn open(&self, is_bucket: bool, name: String) -> Result<End, StartError> {
        let mut config = self.config.clone();
        if !is_bucket {
            config.s3 = S3Options { bucket: String::new(), ..config.s3 };
        }
        let memory = Arc::new(MemoryBudget::new(config.request_memory_bytes, Arc::clone(self.clock)));
        let (metrics, ledger) = (Metrics::default(), Arc::<Ledger>::default());
        let backend = Backend::open(&config, self.clock, self.random, (&metrics, &ledger), &memory).await?;
        let clock = backend.clock(self.clock);
        let objects = match backend.sharing() {
            Sharing::Alone | Sharing::Conditional => Arc::clone(backend.objects()),
            Sharing::Unconditional => Arc::new(SoleWriter::new(Arc::clone(backend.objects()), clock)),
        };
        Ok(End { objects, name, is_bucket, backend: Some(backend) })
    }
}

impl End {
    /// Returns the clock that gateways use there.
    pub(super) fn clock(&self, machine: &Arc<dyn Clock>) -> Arc<dyn Clock> {
        self.backend.as_ref().map_or_else(|| Arc::clone(machine), |backend| backend.clock(machine))
    }

    /// Closes the end.
    pub(super) async fn close(self) {
        if let Some(backend) = self.backend {
            backend.close().await;
        }
    }
}

/// Moves the admin token that an earlier start generated: it is stored in a file in the data folder, or in an object.
pub(super) async fn move_admin_token(
    config: &Config,
    direction: Direction,
    from: &End,
    to: &End,
) -> Result<(), MigrationError> {
    match direction {
        Direction::ToBucket => {
            if let Some(token) = AdminToken::kept_in(&config.data) {
                AdminToken::keep_shared(to.objects.as_ref(), &token).await?;
            }
        }
        Direction::ToFolder => {
            if let Some(token) = AdminToken::kept_shared(from.objects.as_ref()).await? {
                AdminToken::keep_in(&config.data, &token)?;
            }
        }
    }
    Ok(())
}
