//! Commands that use a server with the caller's token: stores, records and administration.

use std::process::ExitCode;

use clap::{Subcommand, value_parser};

use crate::{
    auth::signature,
    clock::{Clock, SystemClock, Timestamp},
    kv::{IdError, InvalidKey, RecordKey},
};

use super::{
    administration::{self, ClockCommand, StoreCommand, TokenCommand, UserCommand},
    api_connection::{ApiConnection, MissingFolder, path_segment, with_server},
    arguments::ServerArguments,
    exit::CommandError,
    output::{self, Format},
    records::{self, GetArguments, ListArguments, PutArguments, RemoveArguments},
};

/// Maximum validity of a signed link to a list of keys: 100 years.
const MAX_LINK_LIFETIME_SECS: u64 = 36_525 * 24 * 60 * 60;

/// Commands that use a server.
#[derive(Debug, Subcommand)]
pub(super) enum ServerCommands {
    /// List stores
    #[command(after_help = "Example: larder stores --unnamed")]
    Stores {
        /// Include stores without a name
        #[arg(long)]
        unnamed: bool,
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// List the records of a store with sizes and types
    #[command(after_help = "Example: larder ls pantry --prefix bread-")]
    Ls {
        #[command(flatten)]
        arguments: ListArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Print a record, or write it to a file
    #[command(after_help = "Example: larder get pantry photo photo.jpg")]
    Get {
        #[command(flatten)]
        arguments: GetArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Write a record from a file or standard input
    #[command(after_help = "Example: echo 'a pinch' | larder put pantry salt.txt")]
    Put {
        #[command(flatten)]
        arguments: PutArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Delete records
    #[command(after_help = "Example: larder ls pantry --prefix old- --keys | larder rm pantry -")]
    Rm {
        #[command(flatten)]
        arguments: RemoveArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Show the clock of a server, and whether it suspends deletions because the time is suspect
    #[command(after_help = "Example: larder clock accept")]
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Manage users
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Manage tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Create, delete and share stores
    Store {
        #[command(subcommand)]
        command: StoreCommand,
        #[command(flatten)]
        output: OutputArguments,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Print a signed link to a record or to the list of keys, which works without a token
    #[command(after_help = "Example: larder sign pantry photo")]
    Sign {
        /// Store: name, user~name or id
        store: String,
        /// Key of the record [default: the list of keys]
        key: Option<String>,
        /// Validity of a link to the list of keys [default: unlimited]
        #[arg(long, value_name = "SECONDS", conflicts_with = "key", value_parser = value_parser!(u64).range(1..=MAX_LINK_LIFETIME_SECS))]
        lifetime: Option<u64>,
        #[command(flatten)]
        server: ServerArguments,
    },
}

/// Format of the output of a command.
#[derive(Debug, clap::Args)]
pub(super) struct OutputArguments {
    /// Print JSON; a list has one object per line
    #[arg(long, global = true)]
    json: bool,
}

impl OutputArguments {
    /// Returns the requested format.
    pub(super) fn format(&self) -> Format {
        Format::new(self.json)
    }
}

impl ServerCommands {
    /// Runs the command.
    pub(super) fn run(self) -> ExitCode {
        // Commands that create users, tokens or stores create a missing folder. Reads, and changes of what cannot
        // exist, do not.
        let missing_folder = match &self {
            Self::User { command: UserCommand::Create { .. }, .. }
            | Self::Token { command: TokenCommand::Create { .. }, .. }
            | Self::Store { command: StoreCommand::Create { .. }, .. } => MissingFolder::Create,
            _ => MissingFolder::Refuse,
        };
        let with = |server: ServerArguments, work: &mut dyn FnMut(&ApiConnection) -> Result<(), CommandError>| {
            with_server(server.url, &server.settings.0, missing_folder, |session| work(session.connection()))
        };
        match self {
            Self::Stores { unnamed, output, server } => {
                with(server, &mut |api| administration::list_stores(api, unnamed, output.format()))
            }
            Self::Ls { arguments, server } => with(server, &mut |api| records::list(api, &arguments)),
            Self::Get { arguments, server } => with(server, &mut |api| records::get(api, &arguments)),
            Self::Put { arguments, server } => with(server, &mut |api| records::put(api, &arguments)),
            Self::Rm { arguments, server } => with(server, &mut |api| records::remove(api, &arguments)),
            Self::Clock { command, output, server } => {
                with(server, &mut |api| administration::clock(api, command.as_ref(), output.format()))
            }
            Self::User { command, output, server } => {
                with(server, &mut |api| administration::user(api, &command, output.format()))
            }
            Self::Token { command: TokenCommand::Generate, .. } => {
                administration::generate_token();
                ExitCode::SUCCESS
            }
            Self::Token { command, output, server } => {
                with(server, &mut |api| administration::token(api, &command, output.format()))
            }
            Self::Store { command, output, server } => {
                with(server, &mut |api| administration::store(api, &command, output.format()))
            }
            Self::Sign { store, key, lifetime, server } => {
                with(server, &mut |api| sign(api, &store, key.as_deref(), lifetime))
            }
        }
    }
}

/// Prints a signed link to a record, which must exist, or to the list of keys.
fn sign(api: &ApiConnection, store: &str, key: Option<&str>, lifetime: Option<u64>) -> Result<(), CommandError> {
    let key: Option<RecordKey> = key.map(str::parse).transpose().map_err(|error: InvalidKey| error.to_string())?;
    let store = api.find_store(store)?;
    let text = |member: &str| {
        store.object[member]
            .as_str()
            .ok_or_else(|| format!("cannot sign a link: the token has no access to {member} of the store"))
    };
    let (secret, records) = (text("urlSigningSecretKey")?, text("recordsPublicUrl")?);
    let id = text("id")?.parse().map_err(|error: IdError| error.to_string())?;
    let Some(key) = key else {
        let signature = signature::sign_keys(secret, &id, lifetime.map(expiry_in));
        output::print_line(&format!("{}/keys?signature={signature}", records.trim_end_matches("/records")));
        return Ok(());
    };
    if api.head(&store.record(key.as_str()))?.is_none() {
        return Err(store.absent_record(key.as_str()));
    }
    let signature = signature::sign_record(secret, &id, &key).ok_or_else(|| {
        "cannot sign a link to this record: the signature would give access to the whole store".to_owned()
    })?;
    output::print_line(&format!("{records}/{}?signature={signature}", path_segment(key.as_str())));
    Ok(())
}

fn expiry_in(seconds: u64) -> Timestamp {
    SystemClock.now().plus(std::time::Duration::from_secs(seconds))
}
