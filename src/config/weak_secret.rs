//! Tokens and secrets that are easy to guess.

use super::{reference::GROUPS, setting::Setting};

/// Minimum number of characters of a token or a secret. Random ones of that length are beyond guessing.
const MIN_CHARS: usize = 16;

/// Settings that are tokens and secrets of this installation. Those of other servers are theirs to judge.
const OWN_SECRETS: [&str; 4] = ["token", "secret", "user_token", "metrics_token"];

/// Values from our own files. Those in the examples of settings need not be repeated here.
const PUBLISHED: [&str; 3] = ["change-this-token", "change-this-secret", "change-this-key"];

/// Returns the reason why a token or a secret is easy to guess; `None` if it is not.
pub fn weakness(value: &str) -> Option<&'static str> {
    let is_example = |(_, example): &(&str, &str)| *example == value;
    if PUBLISHED.contains(&value) || GROUPS.iter().flat_map(|group| group.settings).any(is_example) {
        return Some(
            "stands in the documentation, where everybody can read it; use a random one: larder token generate",
        );
    }
    // 16 characters, as MIN_CHARS says.
    (value.chars().count() < MIN_CHARS)
        .then_some("has fewer than 16 characters and can be guessed; use a random one: larder token generate")
}

impl Setting {
    /// Returns the reason why `value` is easy to guess, if it is a token or a secret of this installation.
    pub(super) fn weakness_of(&self, value: &str) -> Option<&'static str> {
        OWN_SECRETS.contains(&self.name).then(|| weakness(value)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::settings::settings;

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
