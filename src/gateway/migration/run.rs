//! A complete migration.

use std::sync::Arc;

use crate::{
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::Config,
    kv::{self, MigrationJournal, MigrationState, MigrationStep, look_at_format},
    storage::ObjectStore,
};

use super::{
    checkpoints::Checkpoints,
    copying::copy,
    ends::{Direction, End, Opening, move_admin_token},
    error::MigrationError,
    progress::{MigrationPhase, MigrationProgress},
    survey::{Amount, clear, count, identify, read_small, require_empty, require_idle},
    verifying::{Sides, Verification, verify},
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
    let opening = Opening { config, clock: &clock, random: &random };
    let from = opening.source(options.direction).await?;
    let done = from_source(&opening, options, &from, progress).await;
    from.close().await;
    done
}

async fn from_source(
    opening: &Opening<'_>,
    options: MigrationOptions,
    from: &End,
    progress: &MigrationProgress,
) -> Result<MigrationReport, MigrationError> {
    require_usable(from).await?;
    if from.is_bucket && !options.is_source_idle {
        require_idle(from, from.clock(opening.clock).as_ref(), progress).await?;
    }
    if options.is_dry_run {
        let to = opening.destination_to_look_at(options.direction).await?;
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
    match look_at_format(from.objects.as_ref()).await {
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
    opening: &'a Opening<'a>,
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
