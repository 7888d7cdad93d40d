//! Settings as flags: all of them for the commands that serve and check, those that find a server for all others.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Config, Given, Setting, grouped_settings, settings};

use super::check::Asked;

/// Name of the setting for the data folder.
const DATA: &str = "data";

/// Flag for an example.
const EXAMPLE: &str = "example";

/// Heading of the options that find a server and its data.
const SERVER: &str = "Server";

/// Settings in the short help of `serve`.
const USUAL: [&str; 9] = [
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
    #[arg(long, value_name = "URL", global = true, help_heading = SERVER)]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) settings: Settings,
}

/// Settings of a command for which they are no matter of its own: the flags of all are taken, and that of the data folder is shown.
#[derive(Debug)]
pub(super) struct Settings(pub(super) Given);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(file().hide(true));
        settings().fold(command, |command, setting| match flag(setting) {
            Some(flag) if setting.name == DATA => command.arg(flag.help_heading(SERVER).help(help_of_data())),
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
        Ok(Self(given(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Settings of the command that serves: all of them in groups, the usual ones in the short help.
#[derive(Debug)]
pub(super) struct ServeSettings(pub(super) Given);

impl Args for ServeSettings {
    fn augment_args(command: Command) -> Command {
        let command = command.arg(file());
        grouped_settings().fold(command, |command, (group, setting)| match flag(setting) {
            Some(flag) => command.arg(flag.help_heading(group).hide_short_help(!USUAL.contains(&setting.name))),
            None => command,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The same for a command of which `--data`, with a folder or without, asks for something, and `--example` for something else.
#[derive(Debug)]
pub(super) struct CheckArguments {
    pub(super) settings: Given,
    pub(super) asked: Asked,
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
        let asked = match (matches.get_flag(EXAMPLE), matches.contains_id(DATA)) {
            (true, _) => Asked::Example,
            (false, true) => Asked::Data,
            (false, false) => Asked::Configuration,
        };
        Ok(Self { settings: given(matches), asked })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn file() -> Arg {
    let file = Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf));
    file.global(true).help("Configuration file [env: LARDER_CONFIG] [default: larder.toml, if it is there]")
}

/// Returns the flag of a setting; a secret has none.
fn flag(setting: &Setting) -> Option<Arg> {
    let live = if setting.is_live() { ", reloaded on SIGHUP" } else { "" };
    let default = setting.show(&Config::default()).map(|value| format!(" [default: {value}]")).unwrap_or_default();
    let help = format!("{} [env: {}{live}]{default}", setting.help, setting.variable());
    let flag = Arg::new(setting.name).long(setting.flag()?).value_name(setting.value);
    Some(flag.global(true).help(help))
}

fn help_of_data() -> String {
    let default = Config::default().data.display().to_string();
    format!("Data folder, with its token [env: LARDER_DATA] [default: {default}]")
}

/// Returns the given flags, with the environment.
fn given(matches: &ArgMatches) -> Given {
    let flags = settings()
        .filter(|setting| !setting.is_secret)
        .filter_map(|setting| Some((setting.name, matches.get_one::<String>(setting.name)?.clone())));
    Given::with_environment(matches.get_one("config").cloned(), flags.collect())
}
