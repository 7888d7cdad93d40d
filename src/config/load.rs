//! Reading the configuration from where it stands.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::{self, Write as _},
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    fingerprint::Fingerprint,
    problem::{Problem, Problems},
    setting::{ENV_PREFIX, REDACTED, Setting},
    settings::settings,
    tree::Config,
};

/// The file that is read, if it is there, when none was asked for.
const DEFAULT_FILE: &str = "larder.toml";

/// The variable that names the file.
const FILE_VARIABLE: &str = "LARDER_CONFIG";

/// Variables with our prefix that are not settings of the server: the address that other subcommands talk to.
const OTHER_VARIABLES: [&str; 4] = [FILE_VARIABLE, "LARDER_URL", "LARDER_CA_FILE", "LARDER_FROM_TOKEN"];

/// How unlike a known name an unknown one may be to be taken for a typing mistake of it: 1 is equal, 0 has nothing in
/// common.
const LIKENESS: f64 = 0.7;

/// What was given to this process.
#[derive(Debug, Default)]
pub struct Given {
    /// The file that was asked for by a flag.
    pub file: Option<PathBuf>,
    /// Variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags, by the name of their setting.
    pub flags: Vec<(&'static str, String)>,
}

impl Given {
    /// A variable of the environment that is no setting, unless it is empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, value) = self.environment.iter().find(|(known, _)| known == name)?;
        value.to_str().filter(|value| !value.is_empty())
    }

    /// Flags, with the environment of this process.
    pub fn with_environment(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        Self { file, environment: std::env::vars_os().collect(), flags }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Environment,
    Flag,
}

impl Source {
    fn place(&self, setting: &Setting) -> String {
        match self {
            Self::File(path) => format!("{}: {}", path.display(), setting.name),
            Self::Environment => setting.variable(),
            Self::Flag => format!("--{}", setting.flag().unwrap_or_default()),
        }
    }
}

/// A configuration, and where each value of it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    sources: BTreeMap<&'static str, Source>,
    secrets: BTreeMap<&'static str, Fingerprint>,
}

impl Loaded {
    /// By what the value of a secret is known again, if it is one and set.
    pub(super) fn fingerprint(&self, setting: &Setting) -> Option<&Fingerprint> {
        self.secrets.get(setting.name)
    }
}

impl fmt::Display for Loaded {
    /// Writes it as a file that would give the same configuration, but for its secrets, which are redacted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in settings() {
            let source = self.sources.get(setting.name);
            let source = source.map_or_else(
                || "default".to_owned(),
                |source| match source {
                    Source::File(path) => path.display().to_string(),
                    Source::Environment | Source::Flag => source.place(setting),
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

/// Reads the configuration; all that is wrong with it is found, wherever it stands.
pub fn load(given: &Given) -> Result<Loaded, Problems> {
    let mut loading = Loading {
        loaded: Loaded { config: Config::default(), sources: BTreeMap::new(), secrets: BTreeMap::new() },
        problems: Vec::new(),
    };
    let named = given.environment.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
    let named = given.file.clone().or_else(|| named.map(|(_, value)| PathBuf::from(value)));
    loading.file(named.as_deref());
    loading.environment(&given.environment);
    for (name, value) in &given.flags {
        if let Some(setting) = settings().find(|setting| setting.name == *name) {
            loading.set(setting, value, Source::Flag);
        }
    }
    if loading.problems.is_empty() { Ok(loading.loaded) } else { Err(Problems(loading.problems)) }
}

struct Loading {
    loaded: Loaded,
    problems: Vec<Problem>,
}

impl Loading {
    fn file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let place = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => return,
            Err(error) => return self.problem(place, format!("the file cannot be read: {error}")),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            // The error's own text quotes the line, and that may be the one with the token.
            Err(error) => {
                let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
                return self.problem(format!("{place}, line {line}"), error.message().replace('\n', ", "));
            }
        };
        for (key, value) in table {
            let Some(setting) = settings().find(|setting| setting.name == key) else {
                let advice = nearest(&key, settings().map(|setting| setting.name.to_owned()));
                self.problem(format!("{place}: {key}"), format!("there is no such setting; {advice}"));
                continue;
            };
            let source = Source::File(path.to_owned());
            match value {
                toml::Value::String(text) => self.set(setting, &text, source),
                toml::Value::Integer(number) => self.set(setting, &number.to_string(), source),
                toml::Value::Float(number) => self.set(setting, &number.to_string(), source),
                toml::Value::Boolean(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                    self.problem(source.place(setting), "takes one text or number; write it in quotes".to_owned());
                }
            }
        }
    }

    fn environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(ENV_PREFIX)) else { continue };
            // An empty variable is how composed environments say "not set".
            if value.is_empty() || OTHER_VARIABLES.contains(&name) || is_from_kubernetes(name) {
                continue;
            }
            match (settings().find(|setting| setting.variable() == name), value.to_str()) {
                (Some(setting), Some(value)) => self.set(setting, value, Source::Environment),
                (Some(_), None) => self.problem(name.to_owned(), "is not UTF-8".to_owned()),
                (None, _) => {
                    let advice = nearest(name, settings().map(Setting::variable));
                    self.problem(name.to_owned(), format!("there is no such variable; {advice}"));
                }
            }
        }
    }

    fn set(&mut self, setting: &'static Setting, value: &str, source: Source) {
        let applied = if value.trim().is_empty() {
            Err("is empty; give it a value or leave it out".to_owned())
        } else {
            (setting.apply)(&mut self.loaded.config, value)
        };
        match applied {
            Ok(()) => {
                self.loaded.sources.insert(setting.name, source);
                if setting.is_secret {
                    self.loaded.secrets.insert(setting.name, Fingerprint::of(value));
                }
            }
            Err(message) => {
                let shown = if setting.is_secret { REDACTED.to_owned() } else { format!("{value:?}") };
                self.problem(source.place(setting), format!("{shown} {message}"));
            }
        }
    }

    fn problem(&mut self, place: String, message: String) {
        self.problems.push(Problem { place, message });
    }
}

/// Kubernetes puts the addresses of a service into the environment of every pod beside it, under the service's name. A
/// service called `larder` must not keep Larder from starting.
fn is_from_kubernetes(variable: &str) -> bool {
    ["LARDER_SERVICE_", "LARDER_PORT"].iter().any(|prefix| variable.starts_with(prefix))
}

/// What to do about an unknown name.
fn nearest(unknown: &str, known: impl Iterator<Item = String>) -> String {
    let mut advice = "remove it, or see `larder serve --help` for those there are".to_owned();
    let mut best = LIKENESS;
    for name in known {
        let likeness =
            strsim::normalized_damerau_levenshtein(&unknown.to_ascii_lowercase(), &name.to_ascii_lowercase());
        if likeness >= best {
            best = likeness;
            advice.clear();
            let _ = write!(advice, "did you mean {name}?");
        }
    }
    advice
}
