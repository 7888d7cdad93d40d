//! The rules of one installation: their names, which distinguish them from all others, their text, and the comparison
//! of the rules read back with those written.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::document::{Document, Rule};
use crate::{Result, UnfitRules, WantedRule, WantedRules};

/// Bytes of the hash in a rule's name.
const HASH_BYTES: usize = 8;

/// Action on old versions. Vendors that do not support it drop it.
pub const OLD_VERSIONS: &str = "NoncurrentVersionExpiration";

/// Days until a noncurrent version is deleted: it is never read again.
const OLD_VERSION_DAYS: u16 = 1;

/// The rules that one installation wants on a bucket.
#[derive(Debug)]
pub struct OwnRules {
    /// Prefix of the names of all its rules. Another root has another hash, so that two installations in one bucket do
    /// not affect each other.
    id_prefix: String,
    /// Prefix of all its keys, in the bucket.
    root: String,
    /// The rules, as text and by meaning.
    pub wanted: Vec<(String, Rule)>,
}

impl OwnRules {
    /// Returns `wanted` for a bucket where all keys begin with `prefix`, and which may keep old versions.
    pub fn new(wanted: &WantedRules, prefix: &str, is_versioned: bool) -> Result<Self> {
        let root = [prefix, &wanted.root].concat();
        let hash = Sha256::digest(root.as_bytes());
        let hash = hash.iter().take(HASH_BYTES).fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let id_prefix = format!("larder-{hash}-");
        let mut texts = Vec::new();
        for WantedRule { prefix: below, days } in &wanted.expirations {
            let mut actions = format!("<Expiration><Days>{days}</Days></Expiration>");
            if is_versioned {
                let days = OLD_VERSION_DAYS;
                let _ = write!(actions, "<{OLD_VERSIONS}><NoncurrentDays>{days}</NoncurrentDays></{OLD_VERSIONS}>");
            }
            texts.push(rule_xml(&format!("{id_prefix}{days}"), &[prefix, below].concat(), &actions));
        }
        if let Some(days) = wanted.upload_days {
            let action = format!(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{days}</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>"
            );
            texts.push(rule_xml(&format!("{id_prefix}uploads"), &root, &action));
        }
        let document = Document::from_rules(&texts)?;
        let wanted = texts.into_iter().zip(document.rules().cloned()).collect();
        Ok(Self { id_prefix, root, wanted })
    }

    /// Returns whether a rule belongs to this installation, now or formerly.
    pub fn owns(&self, rule: &Rule) -> bool {
        rule.id().starts_with(&self.id_prefix)
    }

    /// Returns whether a rule lost its limits: one of this installation that reaches beyond it, or one of another
    /// without any limit, which Larder never writes.
    pub fn is_unbounded(&self, rule: &Rule) -> bool {
        if !self.owns(rule) {
            return rule.filter().is_empty() && is_larder_id(rule.id());
        }
        !rule.prefix().is_some_and(|prefix| prefix.starts_with(&self.root) && prefix.ends_with('/'))
    }

    /// Returns whether a wanted rule has the same name.
    pub fn wants(&self, rule: &Rule) -> bool {
        self.wanted.iter().any(|(_, wanted)| wanted.id() == rule.id())
    }
}

/// Returns whether an id is one of an installation of Larder.
fn is_larder_id(id: &str) -> bool {
    let hash = id.strip_prefix("larder-").and_then(|rest| rest.split_once('-'));
    hash.is_some_and(|(hash, _)| hash.len() == 2 * HASH_BYTES && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Returns the text of a rule, in a form that every vendor accepts.
fn rule_xml(id: &str, prefix: &str, actions: &str) -> String {
    let prefix = quick_xml::escape::escape(prefix);
    format!("<Rule><ID>{id}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>{actions}</Rule>")
}

/// Result of comparing the rules read back with those written.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// All rules are as written; another writer may have added rules since.
    AsWritten,
    /// A rule is missing, and none is wrong: another writer won the race, or the read is stale.
    Overwritten,
    /// The object store cannot represent such rules.
    Unfit(UnfitRules),
}

/// Compares the written rules with those read back.
pub fn compare(sent: &Document, found: &Document, own: &OwnRules) -> ReadBack {
    let (missing, new) = (difference(sent, found), difference(found, sent));
    // A rule of any owner that lost its filter, or its id with it.
    let lost = new.iter().find(|rule| {
        let was = sent.rules().find(|sent| sent.id() == rule.id());
        match was {
            Some(was) => was.filter().iter().any(|condition| !rule.filter().contains(condition)),
            None => rule.id().is_empty() && rule.filter().is_empty() && !missing.is_empty(),
        }
    });
    if let Some(rule) = lost {
        return ReadBack::Unfit(UnfitRules::FilterLost { rule: rule.id().to_owned() });
    }
    let altered = new.iter().find_map(|rule| own.wanted.iter().find(|(_, wanted)| wanted.id() == rule.id()));
    if let Some((_, wanted)) = altered {
        let rule = wanted.id().to_owned();
        let is_but_for_versions = new.iter().any(|rule| **rule == wanted.without(OLD_VERSIONS));
        return ReadBack::Unfit(if is_but_for_versions {
            UnfitRules::VersionsStay { rule }
        } else {
            UnfitRules::Altered { rule }
        });
    }
    if missing.is_empty() { ReadBack::AsWritten } else { ReadBack::Overwritten }
}

/// Returns the rules of one document that the other lacks, or has less often.
fn difference<'a>(document: &'a Document, other: &Document) -> Vec<&'a Rule> {
    let mut left: Vec<&Rule> = other.rules().collect();
    document
        .rules()
        .filter(|rule| match left.iter().position(|known| known == rule) {
            Some(at) => {
                left.swap_remove(at);
                false
            }
            None => true,
        })
        .collect()
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
            assert!(one.owns(rule) && !other.owns(rule) && !one.is_unbounded(rule) && !other.is_unbounded(rule));
            let lost = rule.without("Filter");
            assert!(one.is_unbounded(&lost) && other.is_unbounded(&lost), "{lost:?}");
        }
        let texts =
            ["larder-of-grandma", "larder-0123456789abcdef", "another"].map(|id| rule_xml(id, "", "<Expiration/>"));
        let theirs = Document::from_rules(&texts).expect("a document");
        assert!(theirs.rules().all(|rule| !one.is_unbounded(rule)), "of others, whatever they are limited to");
        assert!(one.wanted[0].1.id().ends_with("-5") && one.wanted[1].1.id().ends_with("-uploads"));
    }

    fn own(is_versioned: bool) -> OwnRules {
        let expirations = vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }];
        let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) };
        OwnRules::new(&wanted, "", is_versioned).expect("rules")
    }

    const TAGGED: &str = "<Rule><ID>theirs</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>\
        </Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    const SIZED: &str = "<Rule><ID>sized</ID><Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>\
        <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    /// Returns the result for our rules and two others on a vendor that writes `new` for `old`.
    fn read_back(own: &OwnRules, old: &str, new: &str) -> ReadBack {
        let mut texts: Vec<_> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
        texts.extend([TAGGED, SIZED].map(str::to_owned));
        let sent = Document::from_rules(&texts).expect("a document");
        let stored = sent.text().expect("rules").replace(old, new);
        compare(&sent, &Document::parse(stored).expect("a document"), own)
    }

    #[test]
    fn different_notations_of_vendors_are_equal() {
        for (old, new) in [
            ("", ""),
            ("><", ">\n  <"),
            ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", ""),
            (" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", ""),
            ("<Filter><Prefix>larder/</Prefix></Filter>", "<Filter><And><Prefix>larder/</Prefix></And></Filter>"),
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "<Prefix>larder/expiring/5/</Prefix>"),
            ("<Expiration>", "<Expiration><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker>"),
            (
                "<Status>Enabled</Status><Expiration><Days>5</Days></Expiration>",
                "<Expiration><Days>5</Days></Expiration><Status>Enabled</Status>",
            ),
        ] {
            assert_eq!(read_back(&own(false), old, new), ReadBack::AsWritten, "{old} as {new}");
        }
    }

    #[test]
    fn a_lost_filter_is_found_in_rules_of_any_owner() {
        let lost = |rule: &str| ReadBack::Unfit(UnfitRules::FilterLost { rule: rule.to_owned() });
        let own = own(false);
        let [expiration, uploads] = [0, 1].map(|at: usize| own.wanted[at].1.id());
        for (old, new, rule) in [
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "", expiration),
            ("<Filter><Prefix>larder/expiring/5/</Prefix></Filter>", "<Filter/>", expiration),
            ("<Prefix>larder/expiring/5/</Prefix>", "<Prefix/>", expiration),
            ("<Prefix>larder/expiring/5/</Prefix>", "<Prefix>larder/</Prefix>", expiration),
            ("<Filter><Prefix>larder/</Prefix></Filter>", "<Prefix></Prefix>", uploads),
            ("<Tag><Key>k</Key><Value>v</Value></Tag>", "", "theirs"),
            ("<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan>", "<Prefix/>", "sized"),
            (
                "<ID>theirs</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
                "",
                "",
            ),
        ] {
            assert_eq!(read_back(&own, old, new), lost(rule), "{old} as {new}");
        }
    }

    #[test]
    fn our_rules_must_come_back_with_their_days_their_status_and_their_actions() {
        let altered = |rule: &str| ReadBack::Unfit(UnfitRules::Altered { rule: rule.to_owned() });
        let own_rules = own(false);
        let [expiration, uploads] = [0, 1].map(|at: usize| own_rules.wanted[at].1.id());
        for (old, new, rule) in [
            ("<Days>5</Days>", "<Days>1</Days>", expiration),
            ("<Status>Enabled</Status><Expiration><Days>5", "<Status>Disabled</Status><Expiration><Days>5", expiration),
            ("<DaysAfterInitiation>7</DaysAfterInitiation>", "", uploads),
        ] {
            assert_eq!(read_back(&own_rules, old, new), altered(rule), "{old} as {new}");
        }
        let versioned = own(true);
        assert_eq!(read_back(&versioned, "", ""), ReadBack::AsWritten);
        let old = format!("<{OLD_VERSIONS}><NoncurrentDays>1</NoncurrentDays></{OLD_VERSIONS}>");
        let rule = versioned.wanted[0].1.id().to_owned();
        assert_eq!(read_back(&versioned, &old, ""), ReadBack::Unfit(UnfitRules::VersionsStay { rule }));
    }

    #[test]
    fn changes_of_another_writer_are_distinguished_from_those_of_the_vendor() {
        let own = own(false);
        let added = format!("{TAGGED}<Rule><ID>new</ID><Filter/><Status>Enabled</Status></Rule>");
        assert_eq!(read_back(&own, TAGGED, &added), ReadBack::AsWritten, "a rule of theirs that is new");
        assert_eq!(read_back(&own, TAGGED, ""), ReadBack::Overwritten, "a rule of theirs that is gone");
        let ours = own.wanted[0].0.clone();
        assert_eq!(read_back(&own, &ours, ""), ReadBack::Overwritten, "a rule of ours that is gone");
        assert_eq!(
            read_back(&own, "<Days>1</Days>", "<Days>2</Days>"),
            ReadBack::Overwritten,
            "theirs with other days"
        );
    }
}
