//! Arguments of the program.

use std::{path::PathBuf, process::ExitCode};

use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(feature = "s3")]
use super::migrate::{self, MigrateArguments};
use super::{
    backup::{self, BackupArguments},
    carry::{self, ImportArguments},
    check, doctor, health, help, manual, process,
    run::{self, RunArguments},
    serve,
    server_commands::{OutputArguments, ServerCommands},
    settings_arguments::{CheckArguments, ServeSettings, ServerArguments, Settings},
    status,
};

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
    OfServer(ServerCommands),
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
    help::in_groups(Larder::command())
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    // Before anything is read: every command may get a token, and most can open the data folder.
    process::hide_from_others();
    let command = match Larder::from_arg_matches(&program().get_matches()) {
        Ok(Larder { command }) => command,
        Err(error) => error.exit(),
    };
    // The user's umask applies to files of other programs, and to generated manual pages.
    if !matches!(command, Subcommands::Run { .. } | Subcommands::Man { .. } | Subcommands::Completions { .. }) {
        process::keep_files_private();
    }
    match command {
        Subcommands::Serve(ServeSettings(given)) => serve::serve(&given),
        Subcommands::Check(CheckArguments { settings, asked }) => check::check(asked, &settings),
        Subcommands::Doctor { json, settings: Settings(given) } => doctor::doctor(json, &given),
        Subcommands::Status { output, server } => status::status(output.format(), server.url, &server.settings.0),
        Subcommands::Version { output } => status::version(output.format()),
        Subcommands::Health { server } => health::health(server.url, &server.settings.0),
        Subcommands::Import { arguments, server } => carry::import(arguments, server.url, &server.settings.0),
        Subcommands::Export { store, to, server } => carry::export(&store, &to, server.url, &server.settings.0),
        Subcommands::Backup { arguments, settings: Settings(given) } => backup::back_up(&arguments, &given),
        Subcommands::Restore { backup, settings: Settings(given) } => backup::restore(&backup, &given),
        #[cfg(feature = "s3")]
        Subcommands::Migrate { arguments, settings: Settings(given) } => migrate::migrate(&arguments, &given),
        Subcommands::Run { run, server } => run::run(&run, server.url, &server.settings.0),
        Subcommands::Completions { shell } => manual::completions(program(), shell),
        Subcommands::Man { command: _, into: Some(folder) } => manual::pages(program(), &folder),
        Subcommands::Man { command, into: None } => manual::page(program(), &command),
        Subcommands::OfServer(command) => command.run(),
    }
}
