//! `larder user`, `token`, `store`, `stores` and `clock`: administration by the public API.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::{auth::Token, clock::SystemRandom};

use super::{
    api_connection::{ApiConnection, path_segment},
    exit::CommandError,
    output::{self, Column, Format, Lines},
};

/// Columns of the list of users.
const USER_COLUMNS: [Column; 4] =
    [Column::text("ID", 17), Column::text("CREATED", 19), Column::text("STATE", 8), Column::text("NAME", 0)];

/// Columns of the list of tokens.
const TOKEN_COLUMNS: [Column; 5] = [
    Column::text("ID", 17),
    Column::text("CREATED", 19),
    Column::text("EXPIRES", 19),
    Column::text("LAST USED", 19),
    Column::text("NAME", 0),
];

/// Columns of the list of users that a store is shared with.
const SHARE_COLUMNS: [Column; 3] = [Column::text("USER ID", 17), Column::text("RIGHT", 6), Column::text("NAME", 0)];

/// Subcommands of `larder user`.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Create a user
    #[command(after_help = "Example: larder user create baker")]
    Create {
        /// Name of the user
        username: String,
    },
    /// List all users
    #[command(after_help = "Example: larder user list --json")]
    List,
    /// Disable a user and all tokens of the user
    #[command(after_help = "Example: larder user disable baker")]
    Disable {
        /// Name or id of the user
        username: String,
        /// Keep signed links of the user to stores of other users valid
        #[arg(long)]
        keep_links: bool,
    },
    /// Enable a user again
    #[command(after_help = "Example: larder user enable baker")]
    Enable {
        /// Name or id of the user
        username: String,
    },
    /// Show a user with quota and usage
    #[command(after_help = "Example: larder user show baker")]
    Show {
        /// Name or id of the user
        username: String,
    },
    /// Set the quota of a user; the value `default` restores the server default
    #[command(after_help = "Example: larder user limit baker --stores 100 --bytes default")]
    Limit {
        /// Name or id of the user
        username: String,
        /// Maximum number of stores
        #[arg(long, value_name = "NUMBER")]
        stores: Option<String>,
        /// Maximum number of records in all stores
        #[arg(long, value_name = "NUMBER")]
        records: Option<String>,
        /// Maximum number of bytes in all stores
        #[arg(long, value_name = "NUMBER")]
        bytes: Option<String>,
        /// Maximum number of records per store
        #[arg(long, value_name = "NUMBER")]
        store_records: Option<String>,
        /// Maximum number of bytes per store
        #[arg(long, value_name = "NUMBER")]
        store_bytes: Option<String>,
    },
    /// Set the default general access of the stores of a user
    #[command(after_help = "Example: larder user access baker RESTRICTED")]
    Access {
        /// Name or id of the user
        username: String,
        /// General access
        #[arg(value_parser = ["RESTRICTED", "ANYONE_WITH_ID_CAN_READ"])]
        access: String,
    },
}

/// Subcommands of `larder token`.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it once
    #[command(after_help = "Example: larder token create --name laptop")]
    Create {
        /// Owner of the token [default: the administrator]
        #[arg(long)]
        user: Option<String>,
        /// Name of the token
        #[arg(long)]
        name: Option<String>,
        /// Expiry date, such as 2027-01-31T00:00:00Z [default: none]
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
        /// Scope, such as {"list":true,"stores":[{"name":"shop","right":"read"}]} [default: none]
        #[arg(long, value_name = "JSON")]
        scope: Option<String>,
    },
    /// Generate a token for `LARDER_USER_TOKEN`; it becomes valid when it is set there
    #[command(after_help = "Example: larder token generate")]
    Generate,
    /// List a user's tokens (ids and metadata, never secrets)
    #[command(after_help = "Example: larder token list --user baker")]
    List {
        /// Owner of the tokens [default: the administrator]
        #[arg(long)]
        user: Option<String>,
    },
    /// Revoke a token
    #[command(after_help = "Example: larder token revoke sNjsEPVV9ik23456a")]
    Revoke {
        /// Id of the token
        id: String,
        /// Owner of the token [default: the administrator]
        #[arg(long)]
        user: Option<String>,
    },
    /// Replace a token and print the new one; the old one expires after the overlap
    #[command(after_help = "Example: larder token replace sNjsEPVV9ik23456a --overlap 3600")]
    Replace {
        /// Id of the token
        id: String,
        /// Owner of the token [default: the administrator]
        #[arg(long)]
        user: Option<String>,
        /// Time that the old token stays valid [default: one day]
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u64>,
    },
}

/// Subcommands of `larder store`.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Create a store if it does not exist, and print its id
    #[command(after_help = "Example: larder store create pantry")]
    Create {
        /// Name of the store
        name: String,
    },
    /// Delete a store with all its records
    #[command(after_help = "Example: larder store delete pantry")]
    Delete {
        /// Store: name, user~name or id
        store: String,
    },
    /// Show the access rights of a store
    #[command(after_help = "Example: larder store access pantry")]
    Access {
        /// Store: name, user~name or id
        store: String,
    },
    /// Share a store with a user
    #[command(after_help = "Example: larder store share pantry baker read")]
    Share {
        /// Store: name, user~name or id
        store: String,
        /// Name or id of the user
        user: String,
        /// Right to grant
        #[arg(value_parser = ["read", "write", "manage"])]
        right: String,
        /// Keep signed links of the user valid, if the user loses the right to write
        #[arg(long)]
        keep_links: bool,
    },
    /// Stop sharing a store with a user
    #[command(after_help = "Example: larder store unshare pantry baker")]
    Unshare {
        /// Store: name, user~name or id
        store: String,
        /// Name or id of the user
        user: String,
        /// Keep signed links of the user valid, if the user had the right to write
        #[arg(long)]
        keep_links: bool,
    },
    /// Revoke all signed links of a store
    #[command(after_help = "Example: larder store rotate-links pantry")]
    RotateLinks {
        /// Store: name, user~name or id
        store: String,
    },
}

/// Subcommands of `larder clock`.
#[derive(Debug, Subcommand)]
pub(super) enum ClockCommand {
    /// Confirm that the time is right, and resume suspended deletions
    #[command(after_help = "Example: larder clock accept")]
    Accept,
}

/// Shows the state of the clock, or confirms the time.
pub(super) fn clock(api: &ApiConnection, command: Option<&ClockCommand>, format: Format) -> Result<(), CommandError> {
    let state = match command {
        None => api.call("GET", "/larder/v1/clock", None)?,
        Some(ClockCommand::Accept) => api.call("POST", "/larder/v1/clock/accept", None)?,
    };
    output::show(format, &state);
    Ok(())
}

/// Runs a command on users.
pub(super) fn user(api: &ApiConnection, command: &UserCommand, format: Format) -> Result<(), CommandError> {
    const PATH: &str = "/larder/v1/users";
    let of = |username: &str| format!("{PATH}/{}", path_segment(username));
    let shown = match command {
        UserCommand::List => {
            let state = |user: &Value| if user["isDisabled"] == true { "disabled" } else { "enabled" }.to_owned();
            let cells = |user: &Value| {
                let [id, name] = [&user["id"], &user["username"]].map(output::text);
                vec![id, output::time(&user["createdAt"]), state(user), name]
            };
            return Ok(output::list(api, PATH, &mut Lines::new(format, &USER_COLUMNS), cells)?);
        }
        UserCommand::Create { username } => api.call("POST", PATH, Some(&json!({ "username": username })))?,
        UserCommand::Disable { username, keep_links } => {
            api.call("PUT", &(of(username) + keep_links_query(*keep_links)), Some(&json!({ "isDisabled": true })))?
        }
        UserCommand::Enable { username } => api.call("PUT", &of(username), Some(&json!({ "isDisabled": false })))?,
        UserCommand::Show { username } => api.call("GET", &of(username), None)?,
        UserCommand::Limit { username, stores, records, bytes, store_records, store_bytes } => {
            let quota = json_object([
                ("stores", parse_limit(stores.as_deref())?),
                ("records", parse_limit(records.as_deref())?),
                ("bytes", parse_limit(bytes.as_deref())?),
                ("storeRecords", parse_limit(store_records.as_deref())?),
                ("storeBytes", parse_limit(store_bytes.as_deref())?),
            ]);
            api.call("PUT", &of(username), Some(&json!({ "quota": quota })))?
        }
        UserCommand::Access { username, access } => {
            api.call("PUT", &of(username), Some(&json!({ "generalAccess": access })))?
        }
    };
    output::show(format, &shown);
    Ok(())
}

/// Runs a command on tokens.
pub(super) fn token(api: &ApiConnection, command: &TokenCommand, format: Format) -> Result<(), CommandError> {
    const PATH: &str = "/larder/v1/tokens";
    let of = |user: &Option<String>| {
        user.as_deref().map(|user| format!("?username={}", path_segment(user))).unwrap_or_default()
    };
    match command {
        TokenCommand::Create { user, name, expires, scope } => {
            let scope = scope.as_deref().map(serde_json::from_str);
            let scope: Option<Value> =
                scope.transpose().map_err(|error| format!("invalid scope: not JSON: {error}"))?;
            let body = json_object([
                ("username", user.clone().map(Value::from)),
                ("name", name.clone().map(Value::from)),
                ("expiresAt", expires.clone().map(Value::from)),
                ("scope", scope),
            ]);
            print_token(&api.call("POST", PATH, Some(&body))?, format);
        }
        TokenCommand::Generate => generate_token(),
        TokenCommand::List { user } => {
            let cells = |token: &Value| {
                let [created, expires, used] =
                    ["createdAt", "expiresAt", "lastUsedAt"].map(|at| output::time(&token[at]));
                vec![output::text(&token["id"]), created, expires, used, output::text(&token["name"])]
            };
            output::list(api, &format!("{PATH}{}", of(user)), &mut Lines::new(format, &TOKEN_COLUMNS), cells)?;
        }
        TokenCommand::Revoke { id, user } => {
            api.call("DELETE", &format!("{PATH}/{}{}", path_segment(id), of(user)), None)?;
        }
        TokenCommand::Replace { id, user, overlap } => {
            let body =
                json_object([("username", user.clone().map(Value::from)), ("overlapSecs", overlap.map(Value::from))]);
            print_token(&api.call("POST", &format!("{PATH}/{}/replace", path_segment(id)), Some(&body))?, format);
        }
    }
    Ok(())
}

/// Prints a fresh token that no server knows yet.
pub(super) fn generate_token() {
    output::print_line(Token::generate(&SystemRandom).reveal());
}

/// Shows a new token: alone on standard output, so that a shell can capture it, and its id on standard error.
fn print_token(made: &Value, format: Format) {
    if format == Format::Json {
        return output::show(format, made);
    }
    output::print_message(&format!("created token {}, which is shown only once:", output::text(&made["id"])));
    output::print_line(&output::text(&made["token"]));
}

/// Runs a command on stores.
pub(super) fn store(api: &ApiConnection, command: &StoreCommand, format: Format) -> Result<(), CommandError> {
    let path = |store: &str, rest: &str| -> Result<String, CommandError> {
        Ok(format!("/larder/v1/stores/{}{rest}", path_segment(&api.find_store(store)?.address)))
    };
    let access = match command {
        StoreCommand::Create { name } => return create_store(api, name, format),
        StoreCommand::Delete { store } => return delete_store(api, store),
        StoreCommand::RotateLinks { store } => {
            api.call("POST", &path(store, "/signing-key/rotate")?, None)?;
            return Ok(());
        }
        StoreCommand::Access { store } => api.call("GET", &path(store, "/access")?, None)?,
        StoreCommand::Share { store, user, right, keep_links } => {
            let path = path(store, &format!("/access/{}{}", path_segment(user), keep_links_query(*keep_links)))?;
            api.call("PUT", &path, Some(&json!({ "right": right })))?
        }
        StoreCommand::Unshare { store, user, keep_links } => {
            let path = path(store, &format!("/access/{}{}", path_segment(user), keep_links_query(*keep_links)))?;
            api.call("DELETE", &path, None)?
        }
    };
    print_access(&access, format);
    Ok(())
}

/// Shows who has access to a store.
fn print_access(access: &Value, format: Format) {
    if format == Format::Json {
        return output::show(format, access);
    }
    output::print_line(&format!("general access: {}", output::text(&access["generalAccess"])));
    let mut lines = Lines::new(format, &SHARE_COLUMNS);
    for user in access["users"].as_array().into_iter().flatten() {
        let cells = || ["userId", "right", "username"].map(|member| output::text(&user[member])).to_vec();
        if lines.put(user, cells).is_err() {
            return;
        }
    }
}

/// Returns the query that keeps links.
fn keep_links_query(keep_links: bool) -> &'static str {
    if keep_links { "?keepLinks=1" } else { "" }
}

/// Builds a JSON object of the members that are present.
fn json_object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Parses a limit: a number, or `default`.
fn parse_limit(value: Option<&str>) -> Result<Option<Value>, String> {
    match value {
        None => Ok(None),
        Some("default") => Ok(Some(Value::Null)),
        Some(text) => match text.parse::<u64>() {
            Ok(limit) => Ok(Some(limit.into())),
            Err(_) => Err(format!("invalid limit {text:?}: write a whole number or `default`")),
        },
    }
}

/// Columns of the list of stores.
const STORE_COLUMNS: [Column; 5] = [
    Column::text("ID", 17),
    Column::text("MODIFIED", 19),
    Column::number("RECORDS", 9),
    Column::number("SIZE", 10),
    Column::text("NAME", 0),
];

/// Lists the stores of the caller; with `with_unnamed` also those without a name.
pub(super) fn list_stores(api: &ApiConnection, with_unnamed: bool, format: Format) -> Result<(), CommandError> {
    let path = format!("/v2/key-value-stores?unnamed={}", u8::from(with_unnamed));
    let mut lines = Lines::new(format, &STORE_COLUMNS);
    let cells = |store: &Value| {
        let stats = &store["stats"];
        vec![
            output::text(&store["id"]),
            output::time(&store["modifiedAt"]),
            output::text(&stats["itemCount"]),
            output::size(&stats["storageBytes"]),
            output::text(&store["name"]),
        ]
    };
    Ok(output::list(api, &path, &mut lines, cells)?)
}

/// Creates a store of this name unless it exists, and shows it: for people only its id.
fn create_store(api: &ApiConnection, name: &str, format: Format) -> Result<(), CommandError> {
    let name = name.strip_prefix('~').unwrap_or(name);
    let made = api.call("POST", &format!("/v2/key-value-stores?name={}", path_segment(name)), None)?;
    match format {
        Format::Json => output::show(format, &made),
        Format::Table => output::print_line(&output::text(&made["id"])),
    }
    Ok(())
}

/// Deletes a store with all its records.
fn delete_store(api: &ApiConnection, store: &str) -> Result<(), CommandError> {
    let store = api.find_store(store)?;
    api.call("DELETE", &store.path, None)?;
    Ok(())
}
