//! A complete migration, and its two ends.

use std::sync::Arc;

use crate::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::Config,
    kv::{self, MigrationJournal, MigrationState, MigrationStep, check_format},
    storage::{
        MemoryBudget, ObjectStore,
        embedded::FolderStatus,
        s3::{S3Options, S3Store},
        single_writer::SingleWriterStore,
    },
    telemetry::{CostLedger, Metrics},
};

use super::{
    super::{backend::Backend, bootstrap::AdminToken, role::BackendAccess, start::StartError},
    checkpoints::{Checkpoints, MigrationPhase, MigrationProgress},
    copying::{Sides, Verification, copy, verify},
    error::MigrationError,
    survey::{Amount, clear, count, identify, read_small, require_empty, require_idle},
};

/// Options of a migration.
#[derive(Debug, Clone, Copy)]
pub struct MigrationOptions {
    /// The direction.
    pub direction: Direction,
    /// Extent of the comparison at the end.
    pub verification: Verification,
    /// Only reports what a migration would do.
    pub is_dry_run: bool,
    /// The operator asserts that no gateway serves from the source.
    pub is_source_idle: bool,
}

/// Result of a migration, or of a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationReport {
    /// Objects of the installation.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Objects that an earlier attempt had already copied or compared.
    pub before: u64,
}

/// Moves an installation; resumes an earlier attempt.
///
/// # Errors
/// Fails if an end is unusable, the source is in use, the destination holds other data, or the final comparison finds
/// a difference. The source is unchanged, and no gateway starts over the destination.
pub async fn migrate(
    config: &Config,
    options: MigrationOptions,
    progress: &MigrationProgress,
) -> Result<MigrationReport, MigrationError> {
    if config.s3.bucket.is_empty() {
        return Err(MigrationError::NoBucket);
    }
    let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let opening = Opener { config, clock: &clock, random: &random };
    let from = opening.source(options.direction).await?;
    let done = from_source(&opening, options, &from, progress).await;
    from.close().await;
    done
}

async fn from_source(
    opening: &Opener<'_>,
    options: MigrationOptions,
    from: &End,
    progress: &MigrationProgress,
) -> Result<MigrationReport, MigrationError> {
    require_usable(from).await?;
    if from.is_bucket && !options.is_source_idle {
        require_idle(from, from.clock(opening.clock).as_ref(), progress).await?;
    }
    if options.is_dry_run {
        let to = opening.existing_destination(options.direction).await?;
        return look(from, to, opening.clock.as_ref(), progress).await;
    }
    let to = opening.destination(options.direction).await?;
    let migration = Migration { opening, options, from, to: &to, clock: opening.clock.as_ref(), progress };
    let done = migration.run().await;
    to.close().await;
    done
}

async fn require_usable(from: &End) -> Result<(), MigrationError> {
    let name = from.name.clone();
    match check_format(from.objects.as_ref()).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(MigrationError::NothingThere { name }),
        Err(cause) => Err(MigrationError::Format { name, cause }),
    }
}

/// Reports what a migration would do.
async fn look(
    from: &End,
    to: Option<End>,
    clock: &dyn Clock,
    progress: &MigrationProgress,
) -> Result<MigrationReport, MigrationError> {
    let mut before = 0;
    if let Some(to) = to {
        match find_journal(from, &to, &identify(from.objects.as_ref()).await?).await? {
            Found::Nothing => require_empty(&to, clock).await?,
            Found::Current(journal) => before = journal.state.objects,
            Found::Outdated(_) => {}
        }
        to.close().await;
    }
    let Amount { objects, bytes, .. } = count(from, clock, progress).await?;
    Ok(MigrationReport { objects, bytes, before })
}

/// Remains of an earlier attempt at the destination.
enum Found {
    Nothing,
    /// A journal for the current source.
    Current(MigrationJournal),
    /// A journal for the source before it was used again.
    Outdated(MigrationJournal),
}

async fn find_journal(from: &End, to: &End, source: &str) -> Result<Found, MigrationError> {
    match MigrationJournal::find(to.objects.as_ref()).await? {
        None => Ok(Found::Nothing),
        Some(journal) if journal.state.source == source => Ok(Found::Current(journal)),
        Some(journal) if journal.state.from == from.name => Ok(Found::Outdated(journal)),
        Some(journal) => Err(MigrationError::OtherSource { name: to.name.clone(), from: journal.state.from }),
    }
}

struct Migration<'a> {
    opening: &'a Opener<'a>,
    options: MigrationOptions,
    from: &'a End,
    to: &'a End,
    clock: &'a dyn Clock,
    progress: &'a MigrationProgress,
}

impl Migration<'_> {
    async fn run(&self) -> Result<MigrationReport, MigrationError> {
        let (from, to): (&dyn ObjectStore, &dyn ObjectStore) = (self.from.objects.as_ref(), self.to.objects.as_ref());
        let source = identify(from).await?;
        let mut journal = self.journal(&source).await?;
        let MigrationState { objects: before, total_objects: objects, total_bytes: bytes, .. } = journal.state;
        if journal.state.step == MigrationStep::Copying {
            self.progress.resume(MigrationPhase::Copying, &journal.state);
            copy(from, to, self.clock, Checkpoints::new(&mut journal, to, self.clock, self.progress)).await?;
        }
        self.progress.resume(MigrationPhase::Verifying, &journal.state);
        let verification = self.options.verification;
        let sides = Sides { from, has_rules: self.from.is_bucket, to, clock: self.clock, verification };
        verify(sides, Checkpoints::new(&mut journal, to, self.clock, self.progress)).await?;
        if identify(from).await? != source {
            return Err(MigrationError::SourceChanged { name: self.from.name.clone() });
        }
        move_admin_token(self.opening.config, self.options.direction, self.from, self.to).await?;
        let format = read_small(from, kv::FORMAT_OBJECT).await?;
        let format = format.ok_or_else(|| MigrationError::NothingThere { name: self.from.name.clone() })?;
        journal.commit(to, format).await?;
        Ok(MigrationReport { objects, bytes, before })
    }

    /// Returns the journal to continue: that of an earlier attempt, or a new one over an empty destination.
    async fn journal(&self, source: &str) -> Result<MigrationJournal, MigrationError> {
        let to = self.to.objects.as_ref();
        let found = match find_journal(self.from, self.to, source).await? {
            Found::Current(journal) => return Ok(journal),
            Found::Outdated(journal) => Some(journal),
            Found::Nothing => {
                require_empty(self.to, self.clock).await?;
                None
            }
        };
        let Amount { objects: total_objects, bytes: total_bytes, latest } =
            count(self.from, self.clock, self.progress).await?;
        let state = MigrationState {
            from: self.from.name.clone(),
            source: source.to_owned(),
            latest,
            step: MigrationStep::Copying,
            after: None,
            objects: 0,
            bytes: 0,
            total_objects,
            total_bytes,
        };
        let Some(mut journal) = found else { return Ok(MigrationJournal::begin(to, state).await?) };
        clear(to, self.clock, self.progress).await?;
        journal.state = state;
        journal.save(to).await?;
        Ok(journal)
    }
}

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
pub(super) struct Opener<'a> {
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

impl Opener<'_> {
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
    pub(super) async fn existing_destination(&self, direction: Direction) -> Result<Option<End>, MigrationError> {
        let (_, name) = direction.names(self.config);
        if direction == Direction::ToFolder {
            return if self.has_folder(&name)? { self.destination(direction).await.map(Some) } else { Ok(None) };
        }
        let (clock, random) = (Arc::clone(self.clock), Arc::clone(self.random));
        let failed = |cause: StartError| MigrationError::Destination { name: name.clone(), cause: cause.into() };
        let bucket = S3Store::connect(self.config.s3.clone(), clock, random, Arc::default()).await;
        let bucket = bucket.map_err(|cause| failed(cause.into()))?;
        if !bucket.bucket_exists().await.map_err(|cause| failed(StartError::Probe(cause)))? {
            return Ok(None);
        }
        Ok(Some(End { objects: Arc::new(bucket), name, is_bucket: true, backend: None }))
    }

    fn has_folder(&self, name: &str) -> Result<bool, MigrationError> {
        let standing = FolderStatus::read(&self.config.data);
        let standing = standing.map_err(|cause| MigrationError::Unreadable { name: name.to_owned(), cause })?;
        Ok(standing.format.is_some())
    }

    async fn open(&self, is_bucket: bool, name: String) -> Result<End, StartError> {
        let mut config = self.config.clone();
        if !is_bucket {
            config.s3 = S3Options { bucket: String::new(), ..config.s3 };
        }
        let memory = Arc::new(MemoryBudget::new(config.request_memory_bytes, Arc::clone(self.clock)));
        let (metrics, ledger) = (Metrics::default(), Arc::<CostLedger>::default());
        let backend = Backend::open(&config, self.clock, self.random, (&metrics, &ledger), &memory).await?;
        let clock = backend.clock(self.clock);
        let objects = match backend.access() {
            BackendAccess::Exclusive | BackendAccess::SharedCas => Arc::clone(backend.objects()),
            BackendAccess::SharedNoCas => Arc::new(SingleWriterStore::new(Arc::clone(backend.objects()), clock)),
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
            if let Some(token) = AdminToken::read_from_folder(&config.data) {
                AdminToken::write_shared(to.objects.as_ref(), &token).await?;
            }
        }
        Direction::ToFolder => {
            if let Some(token) = AdminToken::read_shared(from.objects.as_ref()).await? {
                AdminToken::write_to_folder(&config.data, &token)?;
            }
        }
    }
    Ok(())
}
