//! The rules of one installation: their names, which distinguish them from all others, and their text.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::{
    error::Result,
    lifecycle::{WantedRule, WantedRules},
    s3::lifecycle::document::{Document, Rule},
};

/// Bytes of the hash in a rule's name.
const HASH_BYTES: usize = 8;

/// The action on old versions; vendors without it drop it.
pub const OLD_VERSIONS: &str = "NoncurrentVersionExpiration";

/// Days from when a version became noncurrent until it is removed: it is never read again.
const OLD_VERSION_DAYS: u16 = 1;

/// The rules that one installation wants on a bucket.
#[derive(Debug)]
pub struct OwnRules {
    /// Prefix of the names of all its rules. Another root has another hash, so that two installations in one bucket do
    /// not affect each other.
    mark: String,
    /// Prefix of all its keys, in the bucket.
    root: String,
    /// The rules, as text and by meaning.
    pub wanted: Vec<(String, Rule)>,
}

impl OwnRules {
    /// Returns `wanted` for a bucket where all keys begin with `prefix`, and which may keep old versions.
    pub fn new(wanted: &WantedRules, prefix: &str, keeps_versions: bool) -> Result<Self> {
        let root = [prefix, &wanted.root].concat();
        let hash = Sha256::digest(root.as_bytes());
        let hash = hash.iter().take(HASH_BYTES).fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let mark = format!("larder-{hash}-");
        let mut texts = Vec::new();
        for WantedRule { prefix: below, days } in &wanted.expirations {
            let mut actions = format!("<Expiration><Days>{days}</Days></Expiration>");
            if keeps_versions {
                let days = OLD_VERSION_DAYS;
                let _ = write!(actions, "<{OLD_VERSIONS}><NoncurrentDays>{days}</NoncurrentDays></{OLD_VERSIONS}>");
            }
            texts.push(text(&format!("{mark}{days}"), &[prefix, below].concat(), &actions));
        }
        if let Some(days) = wanted.upload_days {
            let action = format!(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>"
            );
            texts.push(text(&format!("{mark}uploads"), &root, &action));
        }
        let document = Document::fresh(&texts)?;
        let wanted = texts.into_iter().zip(document.rules().cloned()).collect();
        Ok(Self { mark, root, wanted })
    }

    /// Returns whether a rule belongs to this installation, now or formerly.
    pub fn has(&self, rule: &Rule) -> bool {
        rule.id().starts_with(&self.mark)
    }

    /// Returns whether a rule lost its limits: one of this installation that reaches beyond it, or one of another
    /// without any limit, which Larder never writes.
    pub fn are_spoilt_by(&self, rule: &Rule) -> bool {
        if !self.has(rule) {
            return rule.filter().is_empty() && is_of_larder(rule.id());
        }
        !rule.prefix().is_some_and(|prefix| prefix.starts_with(&self.root) && prefix.ends_with('/'))
    }

    /// Returns whether a wanted rule has the same name.
    pub fn wants(&self, rule: &Rule) -> bool {
        self.wanted.iter().any(|(_, wanted)| wanted.id() == rule.id())
    }
}

/// Returns whether an id was made by an installation of Larder.
fn is_of_larder(id: &str) -> bool {
    let hash = id.strip_prefix("larder-").and_then(|rest| rest.split_once('-'));
    hash.is_some_and(|(hash, _)| hash.len() == 2 * HASH_BYTES && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Returns the text of a rule, in a form that every vendor accepts.
fn text(id: &str, prefix: &str, actions: &str) -> String {
    let prefix = quick_xml::escape::escape(prefix);
    format!("<Rule><ID>{id}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>{actions}</Rule>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_and_a_prefix_of_its_installation() {
        let expirations = vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }];
        let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) };
        let [one, other] = ["", "a&b/"].map(|prefix| OwnRules::new(&wanted, prefix, true).expect("rules"));
        assert_eq!(other.wanted[0].1.prefix(), Some("a&b/larder/expiring/5/"));
        for (_, rule) in &one.wanted {
            assert!(one.has(rule) && !other.has(rule) && !one.are_spoilt_by(rule) && !other.are_spoilt_by(rule));
            let lost = rule.without("Filter");
            assert!(one.are_spoilt_by(&lost) && other.are_spoilt_by(&lost), "{lost:?}");
        }
        let texts = ["larder-of-grandma", "larder-0123456789abcdef", "another"].map(|id| text(id, "", "<Expiration/>"));
        let theirs = Document::fresh(&texts).expect("a document");
        assert!(theirs.rules().all(|rule| !one.are_spoilt_by(rule)), "of others, whatever they are limited to");
        assert!(one.wanted[0].1.id().ends_with("-5") && one.wanted[1].1.id().ends_with("-uploads"));
    }
}
