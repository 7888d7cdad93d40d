//! Arguments of the program: its commands, and settings as flags. `serve` shows all settings, other commands
//! show only those that find a server and its data. Other processes of the same user cannot read this one.

use std::{path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, ConfigSources, Setting, grouped_settings, settings};

use super::{
    backup::{self, BackupArguments},
    diagnosis::{self, CheckScope},
    help,
    import_export::{self, ImportArguments},
    run::{self, RunArguments},
    serve,
    server_commands::{OutputArguments, ServerCommands},
};

#[cfg(feature = "s3")]
use super::migrate::{self, MigrateArguments};

/// Server for the Apify key-value store API, on S3-compatible object storage or a local folder
#[derive(Debug, Parser)]
#[command(name = "larder", version, arg_required_else_help = true)]
struct Larder {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    #[command(flatten)]
    Server(ServerCommands),
    /// Start the server; no configuration is required
    #[command(after_help = "Example: larder serve --data ./larder-data")]
    Serve(ServeSettings),
    /// Show the state of a server and the identity of the caller (exit code 0 if ready, else 1)
    #[command(after_help = "Example: larder status --json")]
    Status {
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Check whether a server is ready (exit code 0 if ready, else 1); requires no token
    #[command(after_help = "Example: larder health --url http://127.0.0.1:8011")]
    Health {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Validate the configuration and print the effective values; with --data, verify the data folder, too
    #[command(after_help = "Example: larder check --config larder.toml")]
    Check(CheckArguments),
    /// Diagnose the backend: test its features and suggest fixes (exit code 0 if it is usable, else 1)
    #[command(after_help = "Example: larder doctor --json")]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the version
    #[command(after_help = "Example: larder version --json")]
    Version {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Import stores from a folder, a ZIP file or another server; rerun to resume
    #[command(after_help = "Example: larder import pantry.zip")]
    Import {
        #[command(flatten)]
        arguments: ImportArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Export a store to a folder or a ZIP file; rerun to resume
    #[command(after_help = "Example: larder export pantry pantry.zip")]
    Export {
        /// Store: name, user~name or id
        store: String,
        /// New folder, or new file that ends in .zip
        #[arg(value_name = "FOLDER|FILE.zip")]
        to: PathBuf,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Create a point-in-time backup of the data folder, while the server runs
    #[command(after_help = "Example: larder backup /mnt/backups/monday")]
    Backup {
        #[command(flatten)]
        arguments: BackupArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Restore a backup into a data folder, which must be empty or absent
    #[command(after_help = "Example: larder restore /mnt/backups/monday --data ./larder-data")]
    Restore {
        /// Folder that `larder backup` created
        backup: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Migrate the installation between the data folder and the bucket; rerun to resume
    #[cfg(feature = "s3")]
    #[command(after_help = "Stop every gateway first.\n\nExample: larder migrate --to bucket --dry-run")]
    Migrate {
        #[command(flatten)]
        arguments: MigrateArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Run a command as an Actor, with a run and a default key-value store of its own
    #[command(after_help = "Example: larder run --input input.json -- node main.js")]
    Run {
        #[command(flatten)]
        run: RunArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Generate shell completions
    #[command(after_help = "Example: larder completions bash")]
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, for `man --local-file -`
    #[command(after_help = "Example: larder man store share | man --local-file -")]
    Man {
        /// Command to describe, such as `store share` [default: the program]
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write all manual pages to this folder instead
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        into: Option<PathBuf>,
    },
}

/// Returns the program's command with all its arguments.
pub(super) fn program() -> Command {
    help::with_grouped_commands(Larder::command())
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    // Before anything is read: every command may get a token, and most can open the data folder.
    prevent_inspection();
    let command = match Larder::from_arg_matches(&program().get_matches()) {
        Ok(Larder { command }) => command,
        Err(error) => error.exit(),
    };
    // The user's umask applies to files of other programs, and to generated manual pages.
    if !matches!(command, Subcommands::Run { .. } | Subcommands::Man { .. } | Subcommands::Completions { .. }) {
        restrict_new_files();
    }
    match command {
        Subcommands::Serve(ServeSettings(sources)) => serve::serve(&sources),
        Subcommands::Check(CheckArguments { settings, scope }) => diagnosis::check(scope, &settings),
        Subcommands::Doctor { json, settings: Settings(sources) } => diagnosis::doctor(json, &sources),
        Subcommands::Status { output, server } => diagnosis::status(output.format(), server.url, &server.settings.0),
        Subcommands::Version { output } => diagnosis::version(output.format()),
        Subcommands::Health { server } => diagnosis::health(server.url, &server.settings.0),
        Subcommands::Import { arguments, server } => import_export::import(arguments, server.url, &server.settings.0),
        Subcommands::Export { store, to, server } => import_export::export(&store, &to, server.url, &server.settings.0),
        Subcommands::Backup { arguments, settings: Settings(sources) } => backup::back_up(&arguments, &sources),
        Subcommands::Restore { backup, settings: Settings(sources) } => backup::restore(&backup, &sources),
        #[cfg(feature = "s3")]
        Subcommands::Migrate { arguments, settings: Settings(sources) } => migrate::migrate(&arguments, &sources),
        Subcommands::Run { run, server } => run::run(&run, server.url, &server.settings.0),
        Subcommands::Completions { shell } => help::print_completions(program(), shell),
        Subcommands::Man { command: _, into: Some(folder) } => help::write_pages(program(), &folder),
        Subcommands::Man { command, into: None } => help::print_page(program(), &command),
        Subcommands::Server(command) => command.run(),
    }
}

/// Prevents other processes of the same user from reading the memory and the environment of this one, where the system
/// supports that. There are then no core dumps, and only root can attach a debugger.
fn prevent_inspection() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel that knows the call never fails it. After a failure the process is as readable as before.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Sets the umask, so that new files of this process are readable by its user alone unless their creation says
/// otherwise.
fn restrict_new_files() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Name of the setting for the data folder.
const DATA: &str = "data";

/// Flag for an example.
const EXAMPLE: &str = "example";

/// Heading of the options that find a server and its data.
const SERVER_HEADING: &str = "Server";

/// Settings in the short help of `serve`.
const COMMON_SETTINGS: [&str; 9] = [
    "listen",
    "public_url",
    DATA,
    "retention_days",
    "max_record_size",
    "tls_cert",
    "tls_key",
    "s3_bucket",
    "s3_endpoint",
];

/// Server that a command uses. The caller is identified by `LARDER_TOKEN` or by the token in the data folder.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArguments {
    #[arg(long, value_name = "URL", global = true, help_heading = SERVER_HEADING)]
    #[arg(help = "Server URL [env: LARDER_URL] [default: the local server, or the data folder if none runs]")]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Settings of a command that is not about them: it accepts the flags of all, and shows that of the data folder.
#[derive(Debug)]
pub(super) struct Settings(pub(super) ConfigSources);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(config_argument().hide(true));
        settings().fold(command, |command, setting| match flag_of(setting) {
            Some(flag) if setting.name == DATA => command.arg(flag.help_heading(SERVER_HEADING).help(data_help())),
            Some(flag) => command.arg(flag.hide(true)),
            None => command,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(config_sources(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Settings of `larder serve`: all of them in groups, the common ones in the short help.
#[derive(Debug)]
pub(super) struct ServeSettings(pub(super) ConfigSources);

impl Args for ServeSettings {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(config_argument());
        grouped_settings().fold(command, |command, (group, setting)| match flag_of(setting) {
            Some(flag) => {
                command.arg(flag.help_heading(group).hide_short_help(!COMMON_SETTINGS.contains(&setting.name)))
            }
            None => command,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(config_sources(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Settings of `larder check`, where `--data`, with or without a folder, and `--example` select the output.
#[derive(Debug)]
pub(super) struct CheckArguments {
    pub(super) settings: ConfigSources,
    pub(super) scope: CheckScope,
}

impl Args for CheckArguments {
    fn augment_args(command: Command) -> Command {
        let example = Arg::new(EXAMPLE).long(EXAMPLE).action(ArgAction::SetTrue).conflicts_with(DATA);
        let example = example.help("Print an example configuration file with all settings, commented out, instead");
        Settings::augment_args(command.arg(example)).mut_arg(DATA, |data| {
            let help = "Verify the data folder and report damage (exit code 1); no gateway may be running on it";
            data.num_args(0..=1).help(help).help_heading(None::<&'static str>)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CheckArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let scope = match (matches.get_flag(EXAMPLE), matches.contains_id(DATA)) {
            (true, _) => CheckScope::Example,
            (false, true) => CheckScope::Data,
            (false, false) => CheckScope::Configuration,
        };
        Ok(Self { settings: config_sources(matches), scope })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn config_argument() -> Arg {
    let file = Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    file.global(true).help("Configuration file [env: LARDER_CONFIG] [default: larder.toml, if it exists]")
}

/// Returns the flag of a setting; a secret has none.
fn flag_of(setting: &Setting) -> Option<Arg> {
    let reloadable = if setting.is_reloadable() { ", reloaded on SIGHUP" } else { "" };
    let default = setting.show(&Config::default()).map(|value| format!(" [default: {value}]")).unwrap_or_default();
    let help = format!("{} [env: {}{reloadable}]{default}", setting.help, setting.variable());
    let flag = Arg::new(setting.name).long(setting.flag()?).value_name(setting.value);
    Some(flag.global(true).help(help))
}

fn data_help() -> String {
    let default = Config::default().data.display().to_string();
    format!("Data folder and its admin token [env: LARDER_DATA] [default: {default}]")
}

/// Returns the given flags, with the environment.
fn config_sources(matches: &ArgMatches) -> ConfigSources {
    let flags = settings()
        .filter(|setting| !setting.is_secret)
        .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
    ConfigSources::with_environment(matches.get_one("config").cloned(), flags.collect())
}
