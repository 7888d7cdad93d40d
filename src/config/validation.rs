//! Names that are no settings, contradictions between settings that may each be valid by themselves, and tokens and
//! secrets that are easy to guess.
//!
//! Checks that depend on the backend (whether a leader is needed, say) follow when that is known, in the module
//! `gateway`.

use std::collections::BTreeSet;

use super::{
    groups::GROUPS,
    options::{Config, LeaderSetting},
    setting::Setting,
};

/// Minimum similarity of two names of which one is a typing mistake of the other: 1 is equal, 0 has nothing in common.
const MIN_SIMILARITY: f64 = 0.7;

/// Names of settings in other programs, with the names here.
const SYNONYMS: [(&str, &str); 7] = [
    ("port", "listen"),
    ("host", "listen"),
    ("bind", "listen"),
    ("address", "listen"),
    ("addr", "listen"),
    ("url", "public_url"),
    ("password", "token"),
];

/// Protocols of services.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Returns the name among `known` that is most similar to an unknown one: a likely typing mistake, another program's
/// name for the same, or the one with the most words in common. Names are in lower case with `_` between their words.
pub(super) fn nearest(unknown: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let unknown = unknown.to_ascii_lowercase();
    let known: Vec<_> = known.collect();
    let alike = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&unknown, name), *name))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    if let Some((_, name)) = alike {
        return Some(name);
    }
    let is_word_of = |word: &str| unknown.split('_').any(|part| part == word);
    let synonym = SYNONYMS.iter().find(|(word, name)| is_word_of(word) && known.contains(name));
    if let Some((_, name)) = synonym {
        return Some(name);
    }
    // One contains all words of the other: `bucket` is in `s3_bucket`, and `log` in `log_level`.
    let contains = |whole: &str, part: &str| part.split('_').all(|word| whole.split('_').any(|other| other == word));
    known
        .into_iter()
        .filter(|name| contains(&unknown, name) || contains(name, &unknown))
        .min_by_key(|name| name.len().abs_diff(unknown.len()))
}

/// Returns whether a variable is one of those that Kubernetes derives from a service.
///
/// Every pod gets the addresses of the services beside it, under the name of each
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>). The variables of a
/// service called `larder-s3` begin as Larder's settings do.
pub(super) fn is_kubernetes_variable(name: &str, value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with("_SERVICE_HOST") {
        return true;
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_number(value);
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    let parts: Vec<_> = name.split('_').collect();
    parts.iter().enumerate().any(|(at, part)| {
        *part == "PORT"
            && match &parts[at + 1..] {
                [port, protocol, rest @ ..] => {
                    is_number(port)
                        && PROTOCOLS.contains(&protocol.to_ascii_lowercase().as_str())
                        && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
                }
                _ => false,
            }
    })
}

/// Returns whether a value is the address of a port as Kubernetes writes it: `tcp://10.0.0.1:80`.
fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, _)| PROTOCOLS.contains(&protocol))
}

/// Settings of which each has no effect without the other.
const REQUIRED_TOGETHER: [(&str, &str); 2] = [("tls_cert", "tls_key"), ("upstream_url", "upstream_token")];

/// Settings with no effect without another one; the other one does not need them.
const REQUIREMENTS: [(&str, &str, &str); 2] = [
    ("user_token", "user", "requires LARDER_USER, the owner of the token; set LARDER_USER, too"),
    ("otlp_headers", "otlp_endpoint", "requires LARDER_OTLP_ENDPOINT; set LARDER_OTLP_ENDPOINT, too"),
];

/// Calls `report` with each setting that contradicts another one, and the reason. `given` has the settings that were
/// set, also to an invalid value.
pub(super) fn contradictions(config: &Config, given: &BTreeSet<&str>, report: &mut dyn FnMut(&'static str, String)) {
    let is_given = |name: &str| given.contains(name);
    let variable = |name: &str| format!("LARDER_{}", name.to_ascii_uppercase());
    for (one, other) in REQUIRED_TOGETHER {
        for (set, missing) in [(one, other), (other, one)] {
            if is_given(set) && !is_given(missing) {
                let (one, other, missing) = (variable(one), variable(other), variable(missing));
                report(set, format!("is set without {missing}; set both {one} and {other}, or neither"));
            }
        }
    }
    for (name, needed, reason) in REQUIREMENTS {
        if is_given(name) && !is_given(needed) {
            report(name, reason.to_owned());
        }
    }
    #[cfg(feature = "s3")]
    s3_settings_without_bucket(config, given, report);
    duplicate_secrets(config, report);
    conflicting_addresses(config, report);
    if config.server.max_client_connections.is_some_and(|most| most > config.server.max_connections) {
        let most = config.server.max_connections;
        report(
            "max_client_connections",
            format!("is more than LARDER_MAX_CONNECTIONS, which is {most}; lower it or raise LARDER_MAX_CONNECTIONS"),
        );
    }
}

/// Checks settings of an object store without a bucket: the data folder would be served.
#[cfg(feature = "s3")]
fn s3_settings_without_bucket(config: &Config, given: &BTreeSet<&str>, report: &mut dyn FnMut(&'static str, String)) {
    if given.contains("s3_bucket") {
        return;
    }
    let defaults = Config::default();
    for setting in super::s3_settings::SETTINGS {
        // The output of `larder check` names every default, and is a valid file.
        if given.contains(setting.name) && setting.show(config) != setting.show(&defaults) {
            report(
                setting.name,
                "has no effect without LARDER_S3_BUCKET; set the bucket or remove this setting".to_owned(),
            );
        }
    }
}

/// Checks that the token for the metrics alone is not a token with other rights.
fn duplicate_secrets(config: &Config, report: &mut dyn FnMut(&'static str, String)) {
    let Some(metrics) = &config.metrics_token else { return };
    for (name, other) in [("LARDER_TOKEN", &config.token), ("LARDER_USER_TOKEN", &config.user_token)] {
        if other.as_ref().is_some_and(|other| other == metrics) {
            report("metrics_token", format!("has the same value as {name}; use a separate token for metrics"));
        }
    }
}

/// Checks that no two settings contradict each other about the gateways, and that calls are not sent in a circle.
fn conflicting_addresses(config: &Config, report: &mut dyn FnMut(&'static str, String)) {
    let own = config.server.listen;
    let is_own = |(host, port): (&str, u16)| host.parse() == Ok(own.ip()) && port == own.port();
    if let Some(LeaderSetting::OtherGateway(address)) = &config.leader {
        if is_own(address.target()) {
            report("leader", "is the address of this gateway itself; write self on the leader".to_owned());
        } else if !config.has_bucket() {
            let reason = "names another gateway, but only one gateway can use a data folder; remove LARDER_LEADER or set LARDER_S3_BUCKET";
            report("leader", reason.to_owned());
        } else if config.is_exclusive_bucket {
            let reason =
                "names another gateway, but LARDER_EXCLUSIVE_BUCKET declares that there is none; remove one of the two";
            report("leader", reason.to_owned());
        }
    }
    if config.upstream.address.as_ref().is_some_and(|address| is_own(address.target())) {
        report(
            "upstream_url",
            "is the address of this gateway itself; set the URL of the server with datasets and request queues"
                .to_owned(),
        );
    }
    let is_cached = config.record_cache_bytes.is_some_and(|bytes| bytes > 0);
    if is_cached && config.has_bucket() && !config.is_exclusive_bucket {
        let reason = "requires LARDER_EXCLUSIVE_BUCKET with a bucket, since other writers would make the cache stale; set \
                      LARDER_EXCLUSIVE_BUCKET to yes if this gateway is the only writer, or remove the cache size";
        report("record_cache_size", reason.to_owned());
    }
}

/// Minimum number of characters of a token or a secret. Random ones of that length are beyond guessing.
const MIN_SECRET_CHARS: usize = 16;

/// Settings that are tokens and secrets of this installation. Those of other servers are theirs to judge.
const OWN_SECRETS: [&str; 4] = ["token", "secret", "user_token", "metrics_token"];

/// Values from our own files. Those in the examples of settings need not be repeated here.
const PUBLISHED_VALUES: [&str; 3] = ["change-this-token", "change-this-secret", "change-this-key"];

/// Returns the reason why a token or a secret is easy to guess; `None` if it is not.
pub fn weakness(value: &str) -> Option<&'static str> {
    let is_example = |(_, example): &(&str, &str)| *example == value;
    if PUBLISHED_VALUES.contains(&value) || GROUPS.iter().flat_map(|group| group.settings).any(is_example) {
        return Some("is published in the documentation; use a random one, such as from `larder token generate`");
    }
    // 16 characters, as MIN_SECRET_CHARS says.
    (value.chars().count() < MIN_SECRET_CHARS).then_some(
        "has fewer than 16 characters and can be guessed; use a random one, such as from `larder token generate`",
    )
}

impl Setting {
    /// Returns the reason why `value` is easy to guess, if it is a token or a secret of this installation.
    pub(super) fn own_weakness(&self, value: &str) -> Option<&'static str> {
        OWN_SECRETS.contains(&self.name).then(|| weakness(value)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use crate::config::settings::settings;

    use super::*;

    #[test]
    fn a_name_that_is_probably_meant_is_suggested_and_no_other() {
        for (unknown, meant) in [
            ("TOKN", Some("token")),
            ("max_recrod_size", Some("max_record_size")),
            ("PORT", Some("listen")),
            ("HTTP_PORT", Some("listen")),
            ("HOST", Some("listen")),
            ("LOG_LEVEL", Some("log")),
            ("LOG_FROMAT", Some("log_format")),
            ("DATA_DIR", Some("data")),
            ("ADMIN_TOKEN", Some("token")),
            ("LEADER", Some("leader")),
            ("CERT", Some("tls_cert")),
            ("FLAVOUR", None),
        ] {
            assert_eq!(nearest(unknown, settings().map(|setting| setting.name)), meant, "{unknown}");
        }
    }

    #[test]
    fn every_variable_of_a_service_is_known_whatever_the_service_is_called() {
        for service in ["LARDER", "LARDER_LEADER", "LARDER_S3", "LARDER_PORT"] {
            for (rest, value) in [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_HOST", "fd00::1"),
                ("SERVICE_PORT", "8011"),
                ("SERVICE_PORT_HTTP_API", "8011"),
                ("PORT", "tcp://10.0.0.1:8011"),
                ("PORT", "udp://[fd00::1]:53"),
                ("PORT_8011_TCP", "tcp://10.0.0.1:8011"),
                ("PORT_8011_TCP_PROTO", "tcp"),
                ("PORT_8011_TCP_PORT", "8011"),
                ("PORT_8011_TCP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP_ADDR", "10.0.0.1"),
            ] {
                assert!(is_kubernetes_variable(&format!("{service}_{rest}"), value), "{service}_{rest}={value}");
            }
        }
    }

    #[test]
    fn no_other_variable_is_taken_for_one() {
        for (name, value) in [
            ("LARDER_PORT", "9000"),
            ("LARDER_PORT", "http://127.0.0.1:9000"),
            ("LARDER_HTTP_PORT", "9000"),
            ("LARDER_SERVICE_PORT", "http"),
            ("LARDER_SERVICE_NAME", "larder"),
            ("LARDER_PORT_NUMBER", "9000"),
            ("LARDER_PORT_8011_HTTP", "1"),
            ("LARDER_PORT_8011_TCP_NAME", "1"),
            ("LARDER_TOKEN", "tcp://10.0.0.1:80"),
        ] {
            assert!(!is_kubernetes_variable(name, value), "{name}={value}");
        }
    }

    #[test]
    fn short_and_published_values_are_weak() {
        for weak in ["a", "fifteen-letters", "change-this-secret", "a-long-random-text"] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        for good in ["sixteen-letters-", "apify_api_0123456789abcdefghijABCDEFGHIJ012345", "schlüsselschlüssel"] {
            assert_eq!(weakness(good), None, "{good}");
        }
    }

    #[test]
    fn every_secret_is_ours_or_that_of_another_server() {
        let others = ["upstream_token", "otlp_headers"];
        for setting in settings().filter(|setting| setting.is_secret) {
            assert_ne!(OWN_SECRETS.contains(&setting.name), others.contains(&setting.name), "{}", setting.name);
        }
    }

    /// Collects every value that a file of ours gives to a secret, with the file.
    fn published(path: &Path, found: &mut Vec<String>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("a folder") {
                let path = entry.expect("an entry").path();
                if !path.ends_with("node_modules") && !path.ends_with("screenshots") {
                    published(&path, found);
                }
            }
            return;
        }
        let Ok(text) = fs::read_to_string(path) else { return };
        for name in OWN_SECRETS.map(|name| format!("LARDER_{}", name.to_ascii_uppercase())) {
            for (at, _) in text.match_indices(&name) {
                let Some(rest) = text[at + name.len()..].strip_prefix(['=', ':']) else { continue };
                let rest = rest.trim_start_matches([' ', '"', '\'', '-']);
                let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
                let value = &rest[..end.unwrap_or(rest.len())];
                if !value.is_empty() && weakness(value).is_none() {
                    found.push(format!("{}: {name}={value}", path.display()));
                }
            }
        }
    }

    #[test]
    fn no_value_that_stands_in_our_own_files_is_taken_for_a_secret() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        for path in ["README.md", "docs", "deploy", "examples", "docker-compose.yml"] {
            published(&root.join(path), &mut found);
        }
        assert!(found.is_empty(), "{found:#?}");
    }
}
