//! Suggestion of the name that an unknown one was probably meant to be.

/// Minimum similarity of two names of which one is a typing mistake of the other: 1 is equal, 0 has nothing in common.
const LIKENESS: f64 = 0.7;

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
        .filter(|(likeness, _)| *likeness >= LIKENESS)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::settings;

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
}
