//! Names that are no settings: the one that was probably meant, and variables that Kubernetes derives from services.
//!
//! Every pod gets the addresses of the services beside it, under the name of each
//! (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>). The variables of a
//! service called `larder-s3` begin as Larder's settings do.

/// Minimum similarity of two names of which one is a typing mistake of the other: 1 is equal, 0 has nothing in common.
const MIN_SIMILARITY: f64 = 0.7;

/// Names of settings in other programs, with the names here.
const SYNONYMS: [(&str, &str); 8] = [
    ("port", "listen"),
    ("host", "listen"),
    ("bind", "listen"),
    ("address", "listen"),
    ("addr", "listen"),
    ("url", "public_url"),
    ("leader", "leader"),
    ("password", "token"),
];

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

/// Protocols of services.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Returns whether a value is the address of a port as Kubernetes writes it: `tcp://10.0.0.1:80`.
fn is_url(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, _)| PROTOCOLS.contains(&protocol))
}

#[cfg(test)]
mod tests {
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
}
