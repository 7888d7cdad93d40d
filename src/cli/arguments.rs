//! Arguments of the program: its commands, and settings as flags. `serve` and `check` show all settings, other commands
//! those that find a server.

use std::{path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, ConfigSources, Setting, grouped_settings, settings};

use super::{
    backup::{self, BackupArguments},
    child_process,
    diagnosis::{self, CheckScope},
    help,
    import_export::{self, ImportArguments},
    run::{self, RunArguments},
    serve,
    server_commands::{OutputArguments, ServerCommands},
};

#[cfg(feature = "s3")]
use super::migrate::{self, MigrateArguments};

/// The Apify key-value store API over any S3-compatible object store, or a local folder
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
    /// Serve the API; no configuration is needed
    #[command(after_help = "Example: larder serve --data ./larder-data")]
    Serve(ServeSettings),
    /// Show the server, whether it is ready (exit code 0) or not (exit code 1), and who the caller is
    #[command(after_help = "Example: larder status --json")]
    Status {
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Ask a server whether it is ready (exit code 0) or not (exit code 1); takes no token
    #[command(after_help = "Example: larder health --url http://127.0.0.1:8011")]
    Health {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Check the configuration and print the effective values; with --data, check the data folder, too
    #[command(after_help = "Example: larder check --config larder.toml")]
    Check(CheckArguments),
    /// Try out the backend: what works, what does not, and what to do (exit code 0 if all is well, else 1)
    #[command(after_help = "Example: larder doctor --json")]
    Doctor {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the version of this program
    #[command(after_help = "Example: larder version --json")]
    Version {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Import stores from a folder, a ZIP file or another server; resumes what was interrupted
    #[command(after_help = "Example: larder import pantry.zip")]
    Import {
        #[command(flatten)]
        arguments: ImportArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Export a store to a folder or a ZIP file; resumes what was interrupted
    #[command(after_help = "Example: larder export pantry pantry.zip")]
    Export {
        /// Store: its name, user~name or id
        store: String,
        /// Folder that does not exist yet, or a file that ends in .zip
        #[arg(value_name = "FOLDER|FILE.zip")]
        to: PathBuf,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Back up the data folder as it is at one instant, while it is served from
    #[command(after_help = "Example: larder backup /mnt/backups/monday")]
    Backup {
        #[command(flatten)]
        arguments: BackupArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Make a data folder of a backup; it must be empty or absent
    #[command(after_help = "Example: larder restore /mnt/backups/monday --data ./larder-data")]
    Restore {
        /// Folder that `larder backup` made
        backup: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Move the whole installation between the data folder and the bucket; resumes what was interrupted
    #[cfg(feature = "s3")]
    #[command(after_help = "Stop every gateway first.\n\nExample: larder migrate --to bucket --dry-run")]
    Migrate {
        #[command(flatten)]
        arguments: MigrateArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Run an Actor: any command, with a run and a store of its own behind it
    #[command(after_help = "Example: larder run --input input.json -- node main.js")]
    Run {
        #[command(flatten)]
        run: RunArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Print shell completions
    #[command(after_help = "Example: larder completions bash")]
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
    /// Print a page of the manual, for `man --local-file -`
    #[command(after_help = "Example: larder man store share | man --local-file -")]
    Man {
        /// Command that the page is about, such as `store share` [default: the program]
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write all pages into this folder instead
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
    child_process::prevent_inspection();
    let command = match Larder::from_arg_matches(&program().get_matches()) {
        Ok(Larder { command }) => command,
        Err(error) => error.exit(),
    };
    // The user's umask applies to files of other programs, and to generated manual pages.
    if !matches!(command, Subcommands::Run { .. } | Subcommands::Man { .. } | Subcommands::Completions { .. }) {
        child_process::restrict_new_files();
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

/// Server that a command talks to; it knows the caller by `LARDER_TOKEN` or the data folder's token.
#[derive(Debug, clap::Args)]
pub(super) struct ServerArguments {
    /// Server to talk to [env: `LARDER_URL`] [default: the local one, or the data folder if none runs]
    #[arg(long, value_name = "URL", global = true, help_heading = SERVER_HEADING)]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Settings of a command for which they are no matter of its own: the flags of all are taken, and that of the data folder is shown.
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

/// Settings of the command that serves: all of them in groups, the usual ones in the short help.
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

/// The same for a command of which `--data`, with a folder or without, asks for something, and `--example` for something else.
#[derive(Debug)]
pub(super) struct CheckArguments {
    pub(super) settings: ConfigSources,
    pub(super) scope: CheckScope,
}

impl Args for CheckArguments {
    fn augment_args(command: Command) -> Command {
        let example = Arg::new(EXAMPLE).long(EXAMPLE).action(ArgAction::SetTrue).conflicts_with(DATA);
        let example =
            example.help("Print an example file instead, in which every setting is explained and none is set");
        Settings::augment_args(command.arg(example)).mut_arg(DATA, |data| {
            let help =
                "Read everything in the data folder, and name what is damaged (exit code 1); no gateway may serve it";
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
    file.global(true).help("Configuration file [env: LARDER_CONFIG] [default: larder.toml, if it is there]")
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
    format!("Data folder, with its token [env: LARDER_DATA] [default: {default}]")
}

/// Returns the given flags, with the environment.
fn config_sources(matches: &ArgMatches) -> ConfigSources {
    let flags = settings()
        .filter(|setting| !setting.is_secret)
        .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
    ConfigSources::with_environment(matches.get_one("config").cloned(), flags.collect())
}
