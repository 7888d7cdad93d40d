//! `larder migrate`: a whole installation from the data folder to the bucket, or back.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use tokio::runtime;

use crate::{
    clock::{Clock, SystemClock},
    config::{Config, ConfigSources, load},
    gateway::{
        Direction, MigrationError, MigrationOptions, MigrationPhase, MigrationProgress, MigrationReport,
        ProgressSnapshot, Verification, migrate as move_installation,
    },
};

use super::{exit, output};

/// Interval between reads of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Interval between lines of progress without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Number of bytes that take about as long as one object.
const BYTES_PER_OBJECT: u64 = 64 * 1024;

/// Arguments of `larder migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArguments {
    /// Destination: bucket or data folder; it must be empty or contain a part of this migration
    #[arg(long, value_name = "bucket|folder", hide_possible_values = true)]
    to: Destination,
    /// Print what would be copied, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Verification at the end: all contents, or names and sizes only
    #[arg(long, value_name = "contents|sizes", default_value = "contents", hide_possible_values = true)]
    verify: Verify,
    /// Skip the wait of up to 100 seconds that detects gateways still using the bucket
    #[arg(long)]
    gateways_stopped: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Destination {
    Bucket,
    Folder,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Verify {
    Contents,
    Sizes,
}

/// Migrates the installation of the configuration.
pub(super) fn migrate(arguments: &MigrateArguments, sources: &ConfigSources) -> ExitCode {
    let config = match load(sources) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            output::print_message(&problems.to_string());
            return exit::invalid_usage();
        }
    };
    let options = MigrationOptions {
        direction: match arguments.to {
            Destination::Bucket => Direction::ToBucket,
            Destination::Folder => Direction::ToFolder,
        },
        verification: match arguments.verify {
            Verify::Contents => Verification::Contents,
            Verify::Sizes => Verification::Sizes,
        },
        is_dry_run: arguments.dry_run,
        is_source_idle: arguments.gateways_stopped,
    };
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::print_message(&format!("cannot start the async runtime: {error}"));
            return exit::failed();
        }
    };
    match runtime.block_on(run_with_progress(&config, options)) {
        Ok(report) => {
            print_report(&config, options, report);
            ExitCode::SUCCESS
        }
        Err(error @ MigrationError::NoBucket) => {
            output::print_message(&error.to_string());
            exit::invalid_usage()
        }
        Err(error) => {
            output::print_message(&output::error_chain(&error));
            exit::failed()
        }
    }
}

/// Runs the migration, and shows progress.
async fn run_with_progress(config: &Config, options: MigrationOptions) -> Result<MigrationReport, MigrationError> {
    let progress = MigrationProgress::default();
    let mut display = Display::new();
    let mut moving = std::pin::pin!(move_installation(config, options, &progress));
    loop {
        tokio::select! {
            moved = &mut moving => {
                display.finish();
                return moved;
            }
            () = SystemClock.sleep(PROGRESS_INTERVAL) => display.show(progress.snapshot(), SystemClock.monotonic()),
        }
    }
}

fn print_report(config: &Config, options: MigrationOptions, report: MigrationReport) {
    let (from, to) = options.direction.names(config);
    let MigrationReport { objects, bytes, before } = report;
    let amount = format!("{objects} objects, {}", HumanBytes(bytes));
    if options.is_dry_run {
        let left = if before > 0 { format!("; {before} of them were already copied") } else { String::new() };
        output::print_line(&format!("would copy {amount} from {from} to {to}{left}; nothing was changed"));
        return;
    }
    let resumed = if before > 0 { format!(" (resumed after object {before})") } else { String::new() };
    let compared = match options.verification {
        Verification::Contents => "all contents were compared and are identical",
        Verification::Sizes => "names and sizes were compared and are identical",
    };
    output::print_line(&format!("migrated {amount} from {from} to {to}{resumed}: {compared}"));
    output::print_line(&format!(
        "now start gateways on {to}, with the same LARDER_TOKEN and LARDER_SECRET if they were set, and none on {from}"
    ));
}

/// Progress, as a bar on a terminal and as periodic lines elsewhere.
struct Display {
    bar: Option<ProgressBar>,
    phase: Option<MigrationPhase>,
    /// Start of the phase, with the objects and bytes done then.
    phase_start: (Duration, u64, u64),
    last_line_at: Duration,
}

impl Display {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {msg}");
        let bar = io::stderr()
            .is_terminal()
            .then(|| ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
        Self { bar, phase: None, phase_start: (Duration::ZERO, 0, 0), last_line_at: Duration::ZERO }
    }

    fn show(&mut self, now: ProgressSnapshot, at: Duration) {
        let is_new = self.phase.replace(now.phase) != Some(now.phase);
        if is_new {
            self.phase_start = (at, now.objects, now.bytes);
        }
        let description = self.description(&now, at);
        if let Some(bar) = &self.bar {
            bar.set_prefix(phase_name(now.phase));
            bar.set_length(weight(now.total_objects, now.total_bytes).max(1));
            bar.set_position(weight(now.objects, now.bytes));
            bar.set_message(description);
        } else if is_new || at.saturating_sub(self.last_line_at) >= LINE_INTERVAL {
            self.last_line_at = at;
            let colon = if description.is_empty() { "" } else { ": " };
            output::print_message(&format!("{}{colon}{description}", phase_name(now.phase)));
        }
    }

    /// Returns progress, rate, and time left as a text.
    fn description(&self, now: &ProgressSnapshot, at: Duration) -> String {
        if matches!(now.phase, MigrationPhase::Opening | MigrationPhase::Waiting) {
            return String::new();
        }
        let (began, objects, bytes) = self.phase_start;
        let (objects, bytes) = (now.objects.saturating_sub(objects), now.bytes.saturating_sub(bytes));
        let millis = u64::try_from(at.saturating_sub(began).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |count: u64| count.saturating_mul(1000) / millis;
        let done = format!("{}/s, {}/s", rate(objects), HumanBytes(rate(bytes)));
        if matches!(now.phase, MigrationPhase::Counting | MigrationPhase::Clearing) {
            return format!("{} objects, {}", now.objects, HumanBytes(now.bytes));
        }
        let total = weight(now.total_objects, now.total_bytes);
        let (left, speed) = (total.saturating_sub(weight(now.objects, now.bytes)), rate(weight(objects, bytes)));
        let left =
            left.checked_div(speed).map(|seconds| format!(", {} left", HumanDuration(Duration::from_secs(seconds))));
        let left = left.unwrap_or_default();
        let (of_objects, of_bytes) = (now.total_objects, HumanBytes(now.total_bytes));
        format!("{}/{of_objects} objects, {}/{of_bytes}, {done}{left}", now.objects, HumanBytes(now.bytes))
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn weight(objects: u64, bytes: u64) -> u64 {
    bytes.saturating_add(objects.saturating_mul(BYTES_PER_OBJECT))
}

fn phase_name(phase: MigrationPhase) -> &'static str {
    match phase {
        MigrationPhase::Opening => "opening both sides",
        MigrationPhase::Waiting => "checking that no gateway uses the bucket (--gateways-stopped skips this)",
        MigrationPhase::Counting => "counting",
        MigrationPhase::Clearing => "the source has changed since an earlier attempt: deleting the partial copy",
        MigrationPhase::Copying => "copying",
        MigrationPhase::Verifying => "verifying",
    }
}
