//! Lifecycle rules of a bucket, kept as they came or as another vendor would make them. Nothing is ever removed by them.

use http::{Method, StatusCode};

use super::http::{Answer, Request, Result, document, empty, error, status};
use super::state::State;

/// Behaviour for rules that are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RuleWays {
    /// They are kept as they came.
    #[default]
    Kept,
    /// There are none. (s3s-fs, s3rver)
    Missing,
    /// They come back from the last to the first, laid out, and with prefixes among several conditions.
    WrittenAnew,
    /// Prefixes are lost. (Garage 2.5 of the form that stands directly in the rule)
    WithoutPrefix,
    /// Conditions on tags are lost. (Garage 2.5)
    WithoutTags,
    /// Unknown elements are lost. (Garage 2.5, which keeps no versions)
    WithoutOldVersions,
    /// Days are other days.
    WithOtherDays,
    /// Other rules are there as soon as these are.
    OverwrittenByOthers,
}

/// A rule that others write.
pub(crate) const OTHERS: &str = "<LifecycleConfiguration><Rule><ID>others</ID><Filter><Prefix>o/</Prefix></Filter>\
    <Status>Enabled</Status><Expiration><Days>9</Days></Expiration></Rule></LifecycleConfiguration>";

/// Reads, writes or removes the rules of a bucket.
pub(crate) fn answer(state: &mut State, request: &Request) -> Result<Answer> {
    let ways = state.deviations.rules;
    let bucket = state.bucket(&request.bucket)?;
    if ways == RuleWays::Missing {
        return Err(error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
    }
    match request.method {
        Method::GET => match &bucket.rules {
            Some(rules) => {
                let answer = status(StatusCode::OK).header("x-amz-transition-default-minimum-object-size", "varies");
                Ok(answer.body(rules.clone().into()).expect("an answer"))
            }
            None => Err(error(StatusCode::NOT_FOUND, "NoSuchLifecycleConfiguration")),
        },
        Method::PUT => {
            let text = String::from_utf8_lossy(&request.body);
            if request.header("content-md5").is_none() || !text.contains("<Rule>") {
                return Err(error(StatusCode::BAD_REQUEST, "InvalidRequest"));
            }
            bucket.rules = Some(kept(&text, ways));
            Ok(empty(StatusCode::OK))
        }
        Method::DELETE => {
            bucket.rules = None;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
    }
}

/// Responds with the versioning state of a bucket.
pub(crate) fn versioning(state: &mut State, request: &Request) -> Result<Answer> {
    let status = state.deviations.versioning.map(|status| format!("<Status>{status}</Status>"));
    state.bucket(&request.bucket).map(|_| document("VersioningConfiguration", &status.unwrap_or_default()))
}

fn kept(text: &str, ways: RuleWays) -> String {
    let without = |text: &str, name: &str| {
        let (start, end) = (format!("<{name}>"), format!("</{name}>"));
        let mut pieces = text.split(&start);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |kept, piece| kept + piece.split_once(&end).map_or("", |(_, rest)| rest))
    };
    match ways {
        RuleWays::Kept | RuleWays::Missing => text.to_owned(),
        RuleWays::WithoutPrefix => without(text, "Prefix"),
        RuleWays::WithoutTags => without(text, "Tag"),
        RuleWays::WithoutOldVersions => without(text, "NoncurrentVersionExpiration"),
        RuleWays::WithOtherDays => text.replace("<Days>", "<Days>1"),
        RuleWays::OverwrittenByOthers => OTHERS.to_owned(),
        RuleWays::WrittenAnew => {
            let (_, rules) = text.split_once("<Rule>").unwrap_or_default();
            let rules = rules.split("</LifecycleConfiguration>").next().unwrap_or_default();
            let rules: Vec<_> = rules.split("<Rule>").map(|rule| rule.trim().to_owned()).collect();
            let rules = rules.iter().rev().map(|rule| format!("\n  <Rule>\n    {}", rule.replace("><", ">\n    <")));
            let rules: String = rules.collect();
            let rules = rules.replace("<Filter>", "<Filter><And>").replace("</Filter>", "</And></Filter>");
            format!("<LifecycleConfiguration>{rules}\n</LifecycleConfiguration>")
        }
    }
}
