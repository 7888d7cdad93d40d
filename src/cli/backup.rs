//! `larder backup` and `larder restore`: a point-in-time copy of the data folder, and a data folder from such a copy.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigSources, load},
    gateway::AdminToken,
    storage::embedded::{self, BackupError, Manifest},
};

use super::{exit, output};

/// Niceness of a backup, to give way to running servers.
const NICENESS: i32 = 10;

/// Arguments of `larder backup`.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArguments {
    /// New folder outside the data folder
    #[arg(required_unless_present = "into", conflicts_with = "into")]
    target: Option<PathBuf>,
    /// Create the backup in a new subfolder of this folder, named after the time
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// After a complete backup, delete all but the newest N complete backups in that folder
    #[arg(long, value_name = "N", requires = "into", conflicts_with = "target")]
    keep: Option<NonZero<usize>>,
}

/// Backs up the data folder of the configuration.
pub(super) fn back_up(BackupArguments { target, into, keep }: &BackupArguments, sources: &ConfigSources) -> ExitCode {
    let dated = into.as_ref().map(|into| into.join(embedded::dated_name(SystemClock.now())));
    let Some(target) = target.as_ref().or(dated.as_ref()) else { return exit::invalid_usage() };
    with_data_folder(sources, "back up", |config| {
        // Servers have priority over a backup; where the system does not allow that, they share alike.
        let _ = rustix::process::nice(NICENESS);
        output::print_message(&format!("backing up the data folder {}", config.data.display()));
        let taken = embedded::back_up(&config.data, target, &[AdminToken::FILE], &SystemClock, output::print_damage)?;
        let (content, at) = (summary(&taken), taken.taken_at);
        output::print_line(&format!(
            "{} holds {content} as of {at}; all of it was read back and verified",
            target.display()
        ));
        if let (Some(into), Some(keep)) = (into, keep) {
            let removed = embedded::prune(into, *keep)?;
            output::print_line(&format!("deleted {removed} older backups"));
        }
        Ok(())
    })
}

/// Creates the data folder of the configuration from a backup.
pub(super) fn restore(backup: &Path, sources: &ConfigSources) -> ExitCode {
    with_data_folder(sources, "restore", |config| {
        output::print_message(&format!("restoring {} to the data folder {}", backup.display(), config.data.display()));
        let taken = embedded::restore(backup, &config.data, output::print_damage)?;
        let (content, at) = (summary(&taken), taken.taken_at);
        output::print_line(&format!(
            "{} holds {content} as of {at}; all of it was read back and verified",
            config.data.display()
        ));
        Ok(())
    })
}

fn summary(taken: &Manifest) -> String {
    format!("{} objects and {}", taken.objects, indicatif::HumanBytes(taken.bytes))
}

fn with_data_folder(
    sources: &ConfigSources,
    purpose: &str,
    work: impl FnOnce(&Config) -> Result<(), BackupError>,
) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_error(&problems.to_string());
            return exit::invalid_usage();
        }
    };
    if output::reject_bucket(&config, purpose) {
        return exit::invalid_usage();
    }
    match work(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&output::error_chain(&error));
            exit::failed()
        }
    }
}
