//! Compares the rules that were read back with those written.

use crate::lifecycle::UnfitRules;

use super::{
    document::{Document, Rule},
    own::{OLD_VERSIONS, OwnRules},
};

/// Result of comparing a read-back with its write.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All rules are there as written; perhaps also rules that another writer has added since.
    Kept,
    /// A rule is missing, and the others are right: another writer was here, or this is an old state.
    Other,
    /// This object store cannot represent such rules.
    Unfit(UnfitRules),
}

/// Compares the written rules with those read back.
pub fn compare(sent: &Document, found: &Document, own: &OwnRules) -> Verdict {
    let (missing, new) = (beyond(sent, found), beyond(found, sent));
    // A rule that lost its filter, ours or another's; also one that lost its name.
    let lost = new.iter().find(|rule| {
        let was = sent.rules().find(|sent| sent.id() == rule.id());
        match was {
            Some(was) => was.filter().iter().any(|condition| !rule.filter().contains(condition)),
            None => rule.id().is_empty() && rule.filter().is_empty() && !missing.is_empty(),
        }
    });
    if let Some(rule) = lost {
        return Verdict::Unfit(UnfitRules::FilterLost { rule: rule.id().to_owned() });
    }
    let altered = new.iter().find_map(|rule| own.wanted.iter().find(|(_, wanted)| wanted.id() == rule.id()));
    if let Some((_, wanted)) = altered {
        let rule = wanted.id().to_owned();
        let is_but_for_versions = new.iter().any(|rule| **rule == wanted.without(OLD_VERSIONS));
        return Verdict::Unfit(if is_but_for_versions {
            UnfitRules::VersionsStay { rule }
        } else {
            UnfitRules::Altered { rule }
        });
    }
    if missing.is_empty() { Verdict::Kept } else { Verdict::Other }
}

/// Returns the rules of one document that the other lacks, or has less often.
fn beyond<'a>(document: &'a Document, other: &Document) -> Vec<&'a Rule> {
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
    use crate::lifecycle::{WantedRule, WantedRules};

    fn own(keeps_versions: bool) -> OwnRules {
        let expirations = vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }];
        let wanted = WantedRules { root: "larder/".to_owned(), expirations, upload_days: Some(7) };
        OwnRules::new(&wanted, "", keeps_versions).expect("rules")
    }

    const TAGGED: &str = "<Rule><ID>theirs</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And>\
        </Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    const SIZED: &str = "<Rule><ID>sized</ID><Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>\
        <Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>";

    /// Returns the result for our rules and two others on a vendor that writes `new` for `old`.
    fn verdict(own: &OwnRules, old: &str, new: &str) -> Verdict {
        let mut texts: Vec<_> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
        texts.extend([TAGGED, SIZED].map(str::to_owned));
        let sent = Document::fresh(&texts).expect("a document");
        let said = sent.text().expect("rules").replace(old, new);
        compare(&sent, &Document::read(said).expect("a document"), own)
    }

    #[test]
    fn what_vendors_write_otherwise_is_the_same() {
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
            assert_eq!(verdict(&own(false), old, new), Verdict::Kept, "{old} as {new}");
        }
    }

    #[test]
    fn a_lost_filter_is_found_whosever_rule_it_was() {
        let lost = |rule: &str| Verdict::Unfit(UnfitRules::FilterLost { rule: rule.to_owned() });
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
            assert_eq!(verdict(&own, old, new), lost(rule), "{old} as {new}");
        }
    }

    #[test]
    fn our_rules_must_come_back_with_their_days_their_status_and_their_actions() {
        let altered = |rule: &str| Verdict::Unfit(UnfitRules::Altered { rule: rule.to_owned() });
        let own_rules = own(false);
        let [expiration, uploads] = [0, 1].map(|at: usize| own_rules.wanted[at].1.id());
        for (old, new, rule) in [
            ("<Days>5</Days>", "<Days>1</Days>", expiration),
            ("<Status>Enabled</Status><Expiration><Days>5", "<Status>Disabled</Status><Expiration><Days>5", expiration),
            ("<DaysAfterInitiation>7</DaysAfterInitiation>", "", uploads),
        ] {
            assert_eq!(verdict(&own_rules, old, new), altered(rule), "{old} as {new}");
        }
        let versioned = own(true);
        assert_eq!(verdict(&versioned, "", ""), Verdict::Kept);
        let old = format!("<{OLD_VERSIONS}><NoncurrentDays>1</NoncurrentDays></{OLD_VERSIONS}>");
        let rule = versioned.wanted[0].1.id().to_owned();
        assert_eq!(verdict(&versioned, &old, ""), Verdict::Unfit(UnfitRules::VersionsStay { rule }));
    }

    #[test]
    fn what_another_writer_does_meanwhile_is_told_from_a_vendors_ways() {
        let own = own(false);
        let added = format!("{TAGGED}<Rule><ID>new</ID><Filter/><Status>Enabled</Status></Rule>");
        assert_eq!(verdict(&own, TAGGED, &added), Verdict::Kept, "a rule of theirs that is new");
        assert_eq!(verdict(&own, TAGGED, ""), Verdict::Other, "a rule of theirs that is gone");
        let ours = own.wanted[0].0.clone();
        assert_eq!(verdict(&own, &ours, ""), Verdict::Other, "a rule of ours that is gone");
        assert_eq!(verdict(&own, "<Days>1</Days>", "<Days>2</Days>"), Verdict::Other, "theirs with other days");
    }
}
