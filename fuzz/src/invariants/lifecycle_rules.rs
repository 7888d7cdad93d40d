//! Invariants of the lifecycle rules of a bucket.

use larder_object_store::{
    WantedRule, WantedRules,
    s3::internals::{Document, OwnRules, ReadBack, compare},
};

/// Checks that rules of others stay unchanged to the byte, and that an edited document parses and has each of our rules
/// once.
pub fn lifecycle(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(document) = Document::parse(text.to_owned()) else { return };
    let wanted = WantedRules {
        root: "larder/".to_owned(),
        expirations: vec![WantedRule { prefix: "larder/expiring/5/".to_owned(), days: 5 }],
        upload_days: Some(7),
    };
    let own = OwnRules::new(&wanted, "", true).expect("rules");
    let texts: Vec<String> = own.wanted.iter().map(|(text, _)| text.clone()).collect();
    if let Some(same) = document.text() {
        assert_eq!(same, text, "what is sent is what came");
        assert_eq!(document.edited(|_| false, &[]).expect("a document"), document);
    }
    let edited = document.edited(|rule| own.owns(rule), &texts).expect("a document");
    let theirs: Vec<_> = document.rules().filter(|rule| !own.owns(rule)).collect();
    let kept: Vec<_> = edited.rules().filter(|rule| !own.owns(rule)).collect();
    assert_eq!(kept, theirs, "rules of others");
    assert_eq!(edited.rules().filter(|rule| own.owns(rule)).count(), texts.len(), "rules of ours");
    assert_eq!(compare(&edited, &edited, &own), ReadBack::AsWritten);
    let removed = edited.edited(|rule| own.owns(rule), &[]).expect("a document");
    assert!(removed.rules().all(|rule| !own.owns(rule) && !own.wants(rule)));
    for rule in document.rules() {
        let _ = (rule.prefix(), own.is_unbounded(rule));
    }
}
