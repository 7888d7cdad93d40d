//! `larder user`, `token`, `store` and `sign`: administration, by the same calls that anybody can make (`/larder/v1`).

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::{
    auth::{Token, signature},
    clock::{Clock, SystemClock, SystemRandom, Timestamp},
    config::Given,
};

use super::{
    exit,
    http::segment,
    output,
    target::{MissingFolder, Target},
};

/// What is done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account
    Create {
        /// Its name
        username: String,
    },
    /// Show all accounts
    List,
    /// Let none of an account's tokens be valid
    Disable {
        /// Its name or id
        username: String,
        /// Keep the links to stores of others that the user may have signed
        #[arg(long)]
        keep_links: bool,
    },
    /// Let an account's tokens be valid again
    Enable {
        /// Its name or id
        username: String,
    },
    /// Show an account, and how much it has
    Show {
        /// Its name or id
        username: String,
    },
    /// Say how much an account may have; `default` for what is configured
    Limit {
        /// Its name or id
        username: String,
        /// Stores
        #[arg(long, value_name = "NUMBER")]
        stores: Option<String>,
        /// Records in all its stores
        #[arg(long, value_name = "NUMBER")]
        records: Option<String>,
        /// Bytes in all its stores
        #[arg(long, value_name = "NUMBER")]
        bytes: Option<String>,
        /// Records in any one of its stores
        #[arg(long, value_name = "NUMBER")]
        store_records: Option<String>,
        /// Bytes in any one of its stores
        #[arg(long, value_name = "NUMBER")]
        store_bytes: Option<String>,
    },
    /// Say who may read the stores of an account that do not say it themselves
    Access {
        /// Its name or id
        username: String,
        /// `RESTRICTED` or `ANYONE_WITH_ID_CAN_READ`
        access: String,
    },
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token; it is shown this once
    Create {
        /// Whose it is; the admin's if nobody is named
        #[arg(long)]
        user: Option<String>,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// When it ends, as 2027-01-31T00:00:00Z
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
        /// What it is limited to, as JSON: {"list":true,"create":true,"stores":[{"name":"shop","right":"read"}]}
        #[arg(long, value_name = "JSON")]
        scope: Option<String>,
    },
    /// Print a new token for LARDER_USER_TOKEN; it is valid for nothing until it is set there
    Generate,
    /// Show an account's tokens, but not themselves
    List {
        /// Whose; the admin's if nobody is named
        #[arg(long)]
        user: Option<String>,
    },
    /// Make a token invalid
    Revoke {
        /// Its id
        id: String,
        /// Whose it is; the admin's if nobody is named
        #[arg(long)]
        user: Option<String>,
    },
    /// Make a token like this one, which ends after a while; the new one is shown this once
    Replace {
        /// Its id
        id: String,
        /// Whose it is; the admin's if nobody is named
        #[arg(long)]
        user: Option<String>,
        /// Seconds for which the old one stays valid; a day if not given
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u64>,
    },
}

/// What is done with stores.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Show who may do what with a store
    Access {
        /// Its id, or user~name
        store: String,
    },
    /// Give a user a right on a store
    Share {
        /// Its id, or user~name
        store: String,
        /// To whom
        user: String,
        /// read, write or manage
        right: String,
        /// Keep the links that the user may have signed, if the user could write before and cannot any more
        #[arg(long)]
        keep_links: bool,
    },
    /// Take a user's right on a store away
    Unshare {
        /// Its id, or user~name
        store: String,
        /// From whom
        user: String,
        /// Keep the links that the user may have signed, if the user could write
        #[arg(long)]
        keep_links: bool,
    },
    /// Let all signed links to a store die
    RotateLinks {
        /// Its id, or user~name
        store: String,
    },
}

/// What is done with the clock.
#[derive(Debug, Subcommand)]
pub(super) enum ClockCommand {
    /// Confirm that the time is right: deletions that are suspended go on
    Accept,
}

/// Shows the state of the clock, or confirms the time.
pub(super) fn clock(command: Option<&ClockCommand>, url: Option<String>, given: &Given) -> ExitCode {
    with(url, given, MissingFolder::Refuse, |target| match command {
        None => target.ask("GET", "/larder/v1/clock", None),
        Some(ClockCommand::Accept) => target.ask("POST", "/larder/v1/clock/accept", None),
    })
}

/// Does something with accounts.
pub(super) fn user(command: UserCommand, url: Option<String>, given: &Given) -> ExitCode {
    const USERS: &str = "/larder/v1/users";
    let missing = match command {
        UserCommand::Create { .. } => MissingFolder::Create,
        _ => MissingFolder::Refuse,
    };
    with(url, given, missing, |target| match command {
        UserCommand::Create { username } => target.ask("POST", USERS, Some(&json!({ "username": username }))),
        UserCommand::List => target.ask("GET", USERS, None),
        UserCommand::Disable { username, keep_links } => {
            let path = format!("{USERS}/{}{}", segment(&username), kept(keep_links));
            target.ask("PUT", &path, Some(&json!({ "isDisabled": true })))
        }
        UserCommand::Enable { username } => {
            target.ask("PUT", &format!("{USERS}/{}", segment(&username)), Some(&json!({ "isDisabled": false })))
        }
        UserCommand::Show { username } => target.ask("GET", &format!("{USERS}/{}", segment(&username)), None),
        UserCommand::Limit { username, stores, records, bytes, store_records, store_bytes } => {
            let quota = members([
                ("stores", limit(stores.as_deref())?),
                ("records", limit(records.as_deref())?),
                ("bytes", limit(bytes.as_deref())?),
                ("storeRecords", limit(store_records.as_deref())?),
                ("storeBytes", limit(store_bytes.as_deref())?),
            ]);
            target.ask("PUT", &format!("{USERS}/{}", segment(&username)), Some(&json!({ "quota": quota })))
        }
        UserCommand::Access { username, access } => {
            target.ask("PUT", &format!("{USERS}/{}", segment(&username)), Some(&json!({ "generalAccess": access })))
        }
    })
}

/// Does something with tokens.
pub(super) fn token(command: TokenCommand, url: Option<String>, given: &Given) -> ExitCode {
    const TOKENS: &str = "/larder/v1/tokens";
    let of = |user: Option<String>| user.map(|user| format!("?username={}", segment(&user))).unwrap_or_default();
    if matches!(command, TokenCommand::Generate) {
        output::say(Token::generate(&SystemRandom).reveal());
        return ExitCode::SUCCESS;
    }
    let missing = match command {
        TokenCommand::Create { .. } => MissingFolder::Create,
        _ => MissingFolder::Refuse,
    };
    with(url, given, missing, |target| match command {
        TokenCommand::Generate => Ok(Value::Null),
        TokenCommand::Create { user, name, expires, scope } => {
            let scope = scope.map(|scope| serde_json::from_str(&scope));
            let scope: Option<Value> = scope.transpose().map_err(|error| format!("the scope is no JSON: {error}"))?;
            let body = members([
                ("username", user.map(Value::from)),
                ("name", name.map(Value::from)),
                ("expiresAt", expires.map(Value::from)),
                ("scope", scope),
            ]);
            target.ask("POST", TOKENS, Some(&body))
        }
        TokenCommand::List { user } => target.ask("GET", &format!("{TOKENS}{}", of(user)), None),
        TokenCommand::Revoke { id, user } => {
            target.ask("DELETE", &format!("{TOKENS}/{}{}", segment(&id), of(user)), None)
        }
        TokenCommand::Replace { id, user, overlap } => {
            let body = members([("username", user.map(Value::from)), ("overlapSecs", overlap.map(Value::from))]);
            target.ask("POST", &format!("{TOKENS}/{}/replace", segment(&id)), Some(&body))
        }
    })
}

/// Does something with stores.
pub(super) fn store(command: StoreCommand, url: Option<String>, given: &Given) -> ExitCode {
    let path = |store: &str, rest: &str| format!("/larder/v1/stores/{}{rest}", segment(store));
    with(url, given, MissingFolder::Refuse, |target| match command {
        StoreCommand::Access { store } => target.ask("GET", &path(&store, "/access"), None),
        StoreCommand::Share { store, user, right, keep_links } => {
            let path = path(&store, &format!("/access/{}{}", segment(&user), kept(keep_links)));
            target.ask("PUT", &path, Some(&json!({ "right": right })))
        }
        StoreCommand::Unshare { store, user, keep_links } => {
            target.ask("DELETE", &path(&store, &format!("/access/{}{}", segment(&user), kept(keep_links))), None)
        }
        StoreCommand::RotateLinks { store } => {
            target.ask("POST", &path(&store, "/signing-key/rotate"), None).map(|_| Value::Null)
        }
    })
}

/// Shows a link that opens a record, or the list of keys, to anybody.
pub(super) fn sign(
    store: &str,
    key: Option<&str>,
    lifetime: Option<u64>,
    url: Option<String>,
    given: &Given,
) -> ExitCode {
    with(url, given, MissingFolder::Refuse, |target| {
        let object = target.ask("GET", &format!("/v2/key-value-stores/{}", segment(store)), None)?;
        let text = |member: &str| object[member].as_str().ok_or_else(|| format!("the answer has no {member}"));
        let (secret, records) = (text("urlSigningSecretKey")?, text("recordsPublicUrl")?);
        let origin = records.trim_end_matches("/records");
        let id = text("id")?.parse().map_err(|error: crate::kv::IdError| error.to_string())?;
        let link = if let Some(key) = key {
            let parsed = key.parse().map_err(|error: crate::kv::InvalidKey| error.to_string())?;
            let signature =
                signature::record(secret, &id, &parsed).ok_or("a link to this record would open the whole store")?;
            format!("{records}/{}?signature={signature}", segment(key))
        } else {
            format!("{origin}/keys?signature={}", signature::keys(secret, &id, lifetime.map(end_in)))
        };
        Ok(Value::from(link))
    })
}

/// Returns the query by which links are kept.
fn kept(keep_links: bool) -> &'static str {
    if keep_links { "?keepLinks=1" } else { "" }
}

fn end_in(seconds: u64) -> Timestamp {
    SystemClock.now().plus(std::time::Duration::from_secs(seconds))
}

/// Does `work` with a server, and shows what came of it.
fn with(
    url: Option<String>,
    given: &Given,
    missing: MissingFolder,
    work: impl FnOnce(&Target) -> Result<Value, String>,
) -> ExitCode {
    let target = match Target::find(url, given, missing) {
        Ok(target) => target,
        Err(code) => return code,
    };
    let done = work(&target);
    match (done, target.close()) {
        (Ok(Value::Null), Ok(())) => ExitCode::SUCCESS,
        (Ok(Value::String(text)), Ok(())) => {
            output::say(&text);
            ExitCode::SUCCESS
        }
        (Ok(shown), Ok(())) => {
            output::say(&format!("{shown:#}"));
            ExitCode::SUCCESS
        }
        (Err(error), _) | (_, Err(error)) => {
            output::print_error(&error);
            exit::failed()
        }
    }
}

/// An object of those members that are there.
fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A limit as it was given: a number, or `default`.
fn limit(given: Option<&str>) -> Result<Option<Value>, String> {
    match given {
        None => Ok(None),
        Some("default") => Ok(Some(Value::Null)),
        Some(text) => match text.parse::<u64>() {
            Ok(limit) => Ok(Some(limit.into())),
            Err(_) => Err(format!("{text:?} is neither a whole number nor `default`")),
        },
    }
}
