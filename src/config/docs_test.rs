//! The documents generated from the settings, and tests that those in the repository are current.
//!
//! `LARDER_UPDATE=1 cargo test --lib config` writes them again.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use super::{
    groups::{GROUPS, Group, example},
    load::{ConfigSources, load},
    options::Config,
    settings::settings,
};

/// Opening of the page.
const OPENING: &str = "\
# Configuration

All settings of Larder. None is required: by default, `larder serve` stores data in a folder on this machine. The program
generates this page (`src/config/docs_test.rs`) and [an example file](../deploy/larder.example.toml), which
`larder check --example` also prints.

A setting has one name in three places. `max_record_size` in the file is `LARDER_MAX_RECORD_SIZE` in the environment and
`--max-record-size` on the command line. Precedence: flag > environment > file > default. The file is `larder.toml` in the
working folder, or the one that `--config` or `LARDER_CONFIG` names. Secrets have no flag, since other users of a machine can
see the arguments of programs. An empty variable counts as not set.

`larder check` prints the effective values and their sources, or all errors with their fixes. An unknown name is an error, and
so are settings that contradict each other. Larder ignores variables that Kubernetes derives from a service whose name begins
with `larder`, such as `LARDER_S3_SERVICE_HOST` and `LARDER_PORT=tcp://...`. Line breaks at the end of a value are removed.
Other control characters are an error.

## Format of values

| | |
|---|---|
| `SIZE` | bytes: `65536`, `512MiB`, `5GiB`; `KiB` to `TiB` are powers of 1024, `kB` to `TB` powers of 1000 |
| `TIME` | a duration: `500ms`, `30s`, `5m`, `2h`, `7d`, or a number of seconds |
| `NUMBER` | a whole number; 0 is no limit where the description says so |
| `DAYS` | a number of days, also with a fraction: `7`, `0.5` |
| `yes\\|no` | `yes` or `no`, also `true` and `false`, `1` and `0` |
| `ADDRESS:PORT` | `127.0.0.1:8011`, `0.0.0.0:8011`, `[::]:8011` |
| `URL` | an origin: scheme, host and port, without a path (`public_url` can have one) |
| `LEVEL` | `off`, `error`, `warn`, `info`, `debug` or `trace`, also per module: `info,larder::server=debug` |

In the file, values are quoted strings. Numbers need no quotes.

Variables that are not settings: `LARDER_CONFIG` (the file), `LARDER_URL` (server URL for commands other than `serve`),
`LARDER_CA_FILE` (certificate authorities to trust for that URL) and `LARDER_FROM_TOKEN` (token for the source server of
`larder import`).

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, apply to connections to the object store, the
upstream and the trace collector: see [proxies](OPERATIONS.md#proxies).
";

/// Returns the page that explains every setting.
fn page() -> String {
    let defaults = Config::default();
    let mut text = OPENING.to_owned();
    for Group { title, about, .. } in &GROUPS {
        let _ = write!(text, "\n## {title}\n");
        if !about.is_empty() {
            let _ = write!(text, "\n{about}\n");
        }
        for (setting, example) in group_of(title).settings() {
            let _ = write!(text, "\n### `{}`\n\n{}.\n\n", setting.name, setting.help);
            let _ = match setting.flag() {
                Some(flag) => write!(text, "`{}`, `--{flag} {}`. ", setting.variable(), setting.value),
                None => write!(text, "`{}`, a secret: `{}`. ", setting.variable(), setting.value),
            };
            let _ = match setting.show(&defaults) {
                Some(default) => write!(text, "Default: `{default}`. "),
                None => write!(text, "Not set by default. "),
            };
            if !setting.is_secret {
                let _ = write!(text, "Example: `{} = \"{example}\"`.", setting.name);
            }
            let trimmed = text.trim_end().len();
            text.truncate(trimmed);
            text.push('\n');
        }
    }
    text
}

fn group_of(title: &str) -> &'static Group {
    GROUPS.iter().find(|group| group.title == title).expect("it is one of them")
}

/// Asserts that a file of the repository has this text, or writes it.
#[expect(clippy::disallowed_methods, reason = "a variable for tests is no setting")]
fn assert_current(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("LARDER_UPDATE").is_some() {
        fs::write(&file, text).expect("it can be written");
    }
    let is_current = fs::read_to_string(&file).is_ok_and(|found| found == text);
    assert!(is_current, "{path} is not current; LARDER_UPDATE=1 cargo test --lib config writes it");
}

#[test]
fn every_setting_is_in_one_group_with_an_example_that_it_takes() {
    let mut named = BTreeSet::new();
    for (name, _) in GROUPS.iter().flat_map(|group| group.settings) {
        assert!(named.insert(*name), "{name} is in two groups");
    }
    for setting in settings() {
        assert!(named.remove(setting.name), "{} is in no group of src/config/groups.rs", setting.name);
    }
    let is_of_bucket = |name: &&&str| cfg!(not(feature = "s3")) && name.starts_with("s3_");
    let unknown: Vec<_> = named.iter().filter(|name| !is_of_bucket(name)).collect();
    assert!(unknown.is_empty(), "there are no settings {unknown:?}");
    for (setting, example) in GROUPS.iter().flat_map(Group::settings) {
        let mut config = Config::default();
        // Only builds with the object store's client speak https.
        if cfg!(feature = "s3") || setting.name != "upstream_url" {
            assert_eq!((setting.apply)(&mut config, example), Ok(()), "{} = {example:?}", setting.name);
        }
    }
}

#[test]
fn the_example_is_a_configuration_that_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("larder.toml");
    let shown = |text: &str| {
        fs::write(&path, text).expect("it can be written");
        let given = ConfigSources { file: Some(path.clone()), ..ConfigSources::default() };
        load(&given).map(|loaded| loaded.to_string())
    };
    let text = example();
    let defaults = shown("").expect("nothing is fine");
    assert_eq!(shown(&text).expect("it is a configuration"), defaults);
    // Uncommented it is still valid, and sets only settings without a default.
    let open: String = text
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ') && !rest.ends_with("\"\"")).unwrap_or(line)
        })
        // These need another setting, or have a value other than the example of another one.
        .filter(|line| !["upstream_url", "record_cache_size"].iter().any(|name| line.starts_with(name)))
        .flat_map(|line| [line, "\n"])
        .collect();
    let set = shown(&open).expect("every line of it is right");
    for (before, after) in defaults.lines().zip(set.lines()).filter(|(before, _)| !before.starts_with('#')) {
        assert_eq!(before.split(" # ").next(), after.split(" # ").next());
    }
    assert!(open.lines().filter(|line| line.contains(" = \"")).count() > 30, "{open}");
    assert!(text.lines().all(|line| line.len() <= 110), "{text}");
}

#[test]
fn the_documents_of_the_repository_are_current() {
    let (page, example) = (page(), example());
    // A build without the object store's client lacks some settings.
    if cfg!(feature = "s3") {
        assert_current("docs/CONFIGURATION.md", &page);
        assert_current("deploy/larder.example.toml", &example);
    }
}
