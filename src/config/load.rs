//! Loader of the configuration from its sources, with every error at once, and differences between two configurations.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{network::Proxies, telemetry::LogFormat};

use super::{
    options::Config,
    setting::{ENV_PREFIX, REDACTED, Setting},
    settings::settings,
    validation::{contradictions, is_kubernetes_variable, nearest},
};

/// Default configuration file, optional.
const DEFAULT_FILE: &str = "larder.toml";

/// Variable that names the file.
const FILE_VARIABLE: &str = "LARDER_CONFIG";

/// Prefix of the variables of AWS's own tools.
const AWS_PREFIX: &str = "AWS_";

/// Line breaks. A value that was read from a file often ends with one, which is not part of the value.
const LINE_BREAKS: [char; 2] = ['\n', '\r'];

/// Variables with our prefix that are not settings of the server, such as the address for other subcommands.
const OTHER_VARIABLES: [&str; 4] = [FILE_VARIABLE, "LARDER_URL", "LARDER_CA_FILE", "LARDER_FROM_TOKEN"];

/// Configuration sources of this process.
#[derive(Debug, Default)]
pub struct ConfigSources {
    /// The file named by a flag.
    pub file: Option<PathBuf>,
    /// Variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags, by the name of their setting.
    pub flags: Vec<(&'static str, String)>,
}

impl ConfigSources {
    /// Returns a variable of the environment that is no setting; `None` if it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
        value.to_str().map(without_line_break).filter(|value| !value.is_empty())
    }

    /// Returns the flags with the environment of this process.
    pub fn with_environment(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags }
    }
}

/// Source of a value.
#[derive(Debug, Clone)]
enum ValueSource {
    File(PathBuf),
    Environment,
    Flag,
}

impl ValueSource {
    fn location(&self, setting: &Setting) -> String {
        match self {
            Self::File(path) => format!("{}: {}", path.display(), setting.name),
            Self::Environment => setting.variable(),
            Self::Flag => format!("--{}", setting.flag().unwrap_or_default()),
        }
    }
}

/// Configuration with the source of each value.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    sources: BTreeMap<&'static str, ValueSource>,
    secrets: BTreeMap<&'static str, Fingerprint>,
    /// Warnings: mistakes that do not invalidate it.
    pub warnings: Vec<ConfigError>,
}

impl Loaded {
    /// Returns the fingerprint of a setting's value, if it is a secret that is set.
    pub(super) fn fingerprint(&self, setting: &Setting) -> Option<&Fingerprint> {
        self.secrets.get(setting.name)
    }

    /// Returns the settings whose value differs in `other`.
    pub fn changes<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Setting> + use<'a> {
        settings().filter(move |setting| {
            let secrets = [self, other].map(|loaded| loaded.fingerprint(setting));
            setting.show(&self.config) != setting.show(&other.config) || secrets[0] != secrets[1]
        })
    }
}

impl fmt::Display for Loaded {
    /// Writes it as a file that would give the same configuration, except for its secrets, which are redacted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in settings() {
            let source = self.sources.get(setting.name);
            let source = source.map_or_else(
                || "default".to_owned(),
                |source| match source {
                    ValueSource::File(path) => path.display().to_string(),
                    ValueSource::Environment | ValueSource::Flag => source.location(setting),
                },
            );
            match setting.show(&self.config) {
                Some(value) => {
                    let line = format!("{} = {}", setting.name, toml::Value::String(value));
                    writeln!(f, "{line:<48} # {source}")?;
                }
                None => writeln!(f, "{:<48} # not set", format!("# {} =", setting.name))?,
            }
        }
        Ok(())
    }
}

/// Loads the configuration; reports all errors of all sources.
pub fn load(given: &ConfigSources) -> Result<Loaded, ConfigErrors> {
    let mut loader = Loader::default();
    let named = given.file.clone().or_else(|| given.variable(FILE_VARIABLE).map(PathBuf::from));
    loader.file(named.as_deref());
    loader.environment(&given.environment);
    for (name, value) in &given.flags {
        if let Some(setting) = settings().find(|setting| setting.name == *name) {
            loader.set(setting, value, ValueSource::Flag);
        }
    }
    loader.proxies(given);
    loader.finish()
}

#[derive(Default)]
struct Loader {
    config: Config,
    sources: BTreeMap<&'static str, ValueSource>,
    secrets: BTreeMap<&'static str, Fingerprint>,
    /// Settings that were set, also to an invalid value.
    given: BTreeSet<&'static str>,
    /// Secrets that are easy to guess.
    weak: BTreeMap<&'static str, ConfigError>,
    errors: Vec<ConfigError>,
}

impl Loader {
    /// Checks the settings against each other, once each has its value.
    fn finish(mut self) -> Result<Loaded, ConfigErrors> {
        let Self { config, sources, secrets, given, weak, errors } = &mut self;
        contradictions(config, given, &mut |name, message| {
            // Settings that are invalid by themselves are already reported.
            if let Some((setting, source)) = settings().find(|setting| setting.name == name).zip(sources.get(name)) {
                errors.push(ConfigError { location: source.location(setting), message });
            }
        });
        // A client on the loopback is on this machine already, and may experiment.
        let mut warnings = Vec::new();
        let weak = std::mem::take(weak).into_values();
        if config.server.listen.ip().to_canonical().is_loopback() {
            warnings.extend(weak);
        } else {
            errors.extend(weak);
        }
        if errors.is_empty() {
            let (sources, secrets) = (std::mem::take(sources), std::mem::take(secrets));
            Ok(Loaded { config: self.config, sources, secrets, warnings })
        } else {
            Err(ConfigErrors { errors: self.errors, log_format: self.config.telemetry.format })
        }
    }

    fn file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let location = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => return,
            Err(error) => return self.error(location, format!("cannot read the file: {error}")),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            // The error's own text quotes the line, which may contain the token.
            Err(error) => {
                let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                return self.error(format!("{location}, line {line}"), error.message().replace('\n', ", "));
            }
        };
        for (key, value) in table {
            let Some(setting) = settings().find(|setting| setting.name == key) else {
                let suggestion = suggestion(nearest(&key, settings().map(|setting| setting.name)));
                self.error(format!("{location}: {key}"), format!("there is no such setting; {suggestion}"));
                continue;
            };
            let source = ValueSource::File(path.to_owned());
            match value {
                toml::Value::String(text) => self.set(setting, &text, source),
                toml::Value::Integer(number) => self.set(setting, &number.to_string(), source),
                toml::Value::Float(number) => self.set(setting, &number.to_string(), source),
                toml::Value::Boolean(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                    self.error(
                        source.location(setting),
                        "is not a string or a number; write the value in quotes".to_owned(),
                    );
                }
            }
        }
    }

    fn environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(AWS_PREFIX) && value.to_str().is_some_and(|value| value.contains(LINE_BREAKS)) {
                self.error(name.to_owned(), "contains a line break; remove it".to_owned());
            }
            let Some(unprefixed) = name.strip_prefix(ENV_PREFIX) else { continue };
            // Composed environments use an empty variable for "not set".
            if value.is_empty() || OTHER_VARIABLES.contains(&name) {
                continue;
            }
            match (settings().find(|setting| setting.variable() == name), value.to_str()) {
                (Some(setting), Some(value)) => self.set(setting, value, ValueSource::Environment),
                (Some(_), None) => self.error(name.to_owned(), "is not UTF-8".to_owned()),
                (None, value) if is_kubernetes_variable(name, value.unwrap_or_default()) => {}
                (None, _) => {
                    let known = nearest(unprefixed, settings().map(|setting| setting.name));
                    let known = known.map(|name| format!("{ENV_PREFIX}{}", name.to_ascii_uppercase()));
                    self.error(name.to_owned(), format!("there is no such variable; {}", suggestion(known)));
                }
            }
        }
    }

    /// Reads the proxies from the variables that all programs share.
    fn proxies(&mut self, given: &ConfigSources) {
        let config = &mut self.config;
        config.proxies = Arc::new(Proxies::new(|name| given.variable(name)));
        #[cfg(feature = "s3")]
        {
            config.s3.proxies = Arc::clone(&config.proxies);
        }
    }

    fn set(&mut self, setting: &'static Setting, value: &str, source: ValueSource) {
        let value = without_line_break(value);
        self.given.insert(setting.name);
        let applied = if value.trim().is_empty() {
            Err("is empty; set a value or remove the setting".to_owned())
        } else if value.contains(char::is_control) {
            Err("contains a line break or another control character; remove it".to_owned())
        } else {
            (setting.apply)(&mut self.config, value)
        };
        let shown = if setting.is_secret { REDACTED.to_owned() } else { format!("{value:?}") };
        match applied {
            Ok(()) => {
                // This value replaces that of an earlier source.
                self.weak.remove(setting.name);
                if let Some(reason) = setting.own_weakness(value) {
                    let error =
                        ConfigError { location: source.location(setting), message: format!("{shown} {reason}") };
                    self.weak.insert(setting.name, error);
                }
                self.sources.insert(setting.name, source);
                if setting.is_secret {
                    self.secrets.insert(setting.name, Fingerprint::new(value));
                }
            }
            Err(message) => self.error(source.location(setting), format!("{shown} {message}")),
        }
    }

    fn error(&mut self, location: String, message: String) {
        self.errors.push(ConfigError { location, message });
    }
}

/// Returns a value without the line breaks at its end.
fn without_line_break(value: &str) -> &str {
    value.trim_end_matches(LINE_BREAKS)
}

/// Returns advice about an unknown name, if another was probably meant.
fn suggestion(meant: Option<impl fmt::Display>) -> String {
    meant.map_or_else(
        || "remove it; `larder serve --help` lists all settings".to_owned(),
        |name| format!("did you mean {name}?"),
    )
}

/// Error with its fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Its location: a variable, a flag, or a file and a key.
    pub location: String,
    /// The error and its fix.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

/// All errors, found at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The errors.
    pub errors: Vec<ConfigError>,
    /// The log format for reporting them, as far as it could be read.
    pub log_format: LogFormat,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        write!(f, "the configuration has {count} {}:", if count == 1 { "error" } else { "errors" })?;
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Hash of a value, to recognize the value without storing it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn new(value: &str) -> Self {
        Self(Sha256::digest(value).into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}
