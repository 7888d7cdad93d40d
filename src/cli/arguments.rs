//! The arguments of the program.

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser,
};

use crate::config::{Given, settings};

#[cfg(feature = "s3")]
use super::migrate::{self, MigrateArguments};
use super::{
    administration::{self, ClockCommand, StoreCommand, TokenCommand, UserCommand},
    backup::{self, BackupArguments},
    carry::{self, ImportArguments},
    check::{self, Asked},
    doctor, exit, health, manual, process,
    run::{self, RunArguments},
    serve,
};

/// The longest time for which a link to a list of keys is signed: 100 years.
const LONGEST_LINK_SECS: u64 = 36_525 * 24 * 60 * 60;

/// The Apify key-value store API over any S3-compatible object store, or a local folder
#[derive(Debug, Parser)]
#[command(name = "larder", version, arg_required_else_help = true, after_help = exit::HELP)]
struct Larder {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serve the API; no configuration is needed
    Serve(Settings),
    /// Show the configuration that `serve` would run with, or everything that is wrong with it; with --data, what is damaged
    Check(CheckArguments),
    /// Try out the backend: what is well, what is not, and what to do about it (exit code 0 if nothing is wrong, else 1)
    Doctor {
        /// Show what was found as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Administer accounts: of the server that runs, or of the data folder or the bucket itself
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Administer tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Administer who may do what with stores
    Store {
        #[command(subcommand)]
        command: StoreCommand,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Show the time of a server, and whether deletions are suspended because it is in doubt
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Show a signed link that opens a record, or a store's list of keys, to anybody
    Sign {
        /// Its id, or user~name
        store: String,
        /// The record; the list of keys if none is named
        key: Option<String>,
        /// Seconds for which a link to the list of keys is good; for ever if not given
        #[arg(long, value_name = "SECONDS", conflicts_with = "key", value_parser = value_parser!(u64).range(1..=LONGEST_LINK_SECS))]
        lifetime: Option<u64>,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Bring stores in: from a folder, a ZIP file, or another server; what was cut off goes on where it was
    Import {
        #[command(flatten)]
        arguments: ImportArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Take a store out, into a folder or a ZIP file; what was cut off goes on where it was
    Export {
        /// Its id, ~name or user~name
        store: String,
        /// A folder that is not there yet, or a file that ends in .zip
        #[arg(value_name = "FOLDER|FILE.zip")]
        to: PathBuf,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Take a backup of the data folder, as it is at one instant; whoever serves from it goes on
    Backup {
        #[command(flatten)]
        arguments: BackupArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Make a data folder, which must be empty or not be there, of a backup
    Restore {
        /// What `larder backup` made
        backup: PathBuf,
        #[command(flatten)]
        settings: Settings,
    },
    /// Move the whole installation between the data folder and the bucket of this configuration: users, tokens, shares, stores and
    /// runs. Stop every gateway first; what was cut off goes on where it was
    #[cfg(feature = "s3")]
    Migrate {
        #[command(flatten)]
        arguments: MigrateArguments,
        #[command(flatten)]
        settings: Settings,
    },
    /// Run an Actor: any command, with a run and a store of its own behind it
    Run {
        #[command(flatten)]
        run: RunArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Print what a shell has to load to complete what is typed
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a page of the manual, for `man --local-file -`
    Man {
        /// The command that it is about, as in `larder man store share`; else the program
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write all pages into this folder instead
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        into: Option<PathBuf>,
    },
    /// Ask a running server whether it is ready (exit code 0) or not (exit code 1)
    Health {
        /// Where it listens; also `LARDER_URL`; the configured listening address if neither is given
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
}

/// Which server a command of administration talks to; it knows the caller by `LARDER_TOKEN` or the data folder's token.
#[derive(Debug, clap::Args)]
struct ServerArguments {
    /// Where a server listens; also `LARDER_URL`; else the one that runs with this configuration, or none
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// The setting that names the data folder.
const DATA: &str = "data";

/// The flag that asks for an example.
const EXAMPLE: &str = "example";

/// The flags of all settings, and of the file that holds settings.
#[derive(Debug)]
struct Settings(Given);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .global(true)
            .help("The configuration file [env: LARDER_CONFIG] [default: larder.toml, if it is there]");
        settings().fold(command.arg(file), |command, setting| match setting.flag() {
            Some(flag) => {
                let live = if setting.is_live() { "; taken anew on SIGHUP" } else { "" };
                let help = format!("{} [env: {}{live}]", setting.help, setting.variable());
                command.arg(Arg::new(setting.name).long(flag).value_name(setting.value).global(true).help(help))
            }
            None => command,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = settings()
            .filter(|setting| !setting.is_secret)
            .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
        Ok(Self(Given::with_environment(matches.get_one("config").cloned(), flags.collect())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The same for a command of which `--data`, with a folder or without, asks for something, and `--example` for something else.
#[derive(Debug)]
struct CheckArguments {
    settings: Settings,
    asked: Asked,
}

impl Args for CheckArguments {
    fn augment_args(command: Command) -> Command {
        let example = Arg::new(EXAMPLE).long(EXAMPLE).action(ArgAction::SetTrue).conflicts_with(DATA);
        let example =
            example.help("Show a configuration file instead in which every setting is explained and none is set");
        Settings::augment_args(command.arg(example)).mut_arg(DATA, |data| {
            data.num_args(0..=1).help(
                "Read everything in this data folder, or in the one that is set, and name what is damaged (exit code 1); \
                 nobody may serve from it meanwhile [env for the folder: LARDER_DATA]",
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CheckArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let asked = match (matches.get_flag(EXAMPLE), matches.contains_id(DATA)) {
            (true, _) => Asked::Example,
            (false, true) => Asked::Data,
            (false, false) => Asked::Configuration,
        };
        Ok(Self { settings: Settings::from_arg_matches(matches)?, asked })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Does what the arguments of this process say.
pub fn run() -> ExitCode {
    // Before anything is read: every command may be given a token, and most can open the data folder.
    process::hide_from_others();
    let command = Larder::parse().command;
    // What another program makes, and what is made for a manual, is made as the user likes it.
    if !matches!(command, Subcommands::Run { .. } | Subcommands::Man { .. } | Subcommands::Completions { .. }) {
        process::keep_files_private();
    }
    match command {
        Subcommands::Serve(Settings(given)) => serve::serve(&given),
        Subcommands::Check(CheckArguments { settings: Settings(given), asked }) => check::check(asked, &given),
        Subcommands::Doctor { json, settings: Settings(given) } => doctor::doctor(json, &given),
        Subcommands::User { command, server } => administration::user(command, server.url, &server.settings.0),
        Subcommands::Token { command, server } => administration::token(command, server.url, &server.settings.0),
        Subcommands::Store { command, server } => administration::store(command, server.url, &server.settings.0),
        Subcommands::Clock { command, server } => {
            administration::clock(command.as_ref(), server.url, &server.settings.0)
        }
        Subcommands::Sign { store, key, lifetime, server } => {
            administration::sign(&store, key.as_deref(), lifetime, server.url, &server.settings.0)
        }
        Subcommands::Import { arguments, server } => carry::import(arguments, server.url, &server.settings.0),
        Subcommands::Export { store, to, server } => carry::export(&store, &to, server.url, &server.settings.0),
        Subcommands::Backup { arguments, settings: Settings(given) } => backup::back_up(&arguments, &given),
        Subcommands::Restore { backup, settings: Settings(given) } => backup::restore(&backup, &given),
        #[cfg(feature = "s3")]
        Subcommands::Migrate { arguments, settings: Settings(given) } => migrate::migrate(&arguments, &given),
        Subcommands::Run { run, server } => run::run(&run, server.url, &server.settings.0),
        Subcommands::Completions { shell } => manual::completions(Larder::command(), shell),
        Subcommands::Man { command: _, into: Some(folder) } => manual::pages(Larder::command(), &folder),
        Subcommands::Man { command, into: None } => manual::page(Larder::command(), &command),
        Subcommands::Health { url, settings: Settings(given) } => health::health(url, &given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed_and_hold_no_secret() {
        Larder::command().debug_assert();
        let mut serve = Larder::command().find_subcommand("serve").expect("there is one").clone();
        let help = serve.render_long_help().to_string();
        assert!(help.contains("--max-record-size <SIZE>"), "{help}");
        assert!(!help.contains("--token") && !help.contains("--secret"), "{help}");
    }
}
