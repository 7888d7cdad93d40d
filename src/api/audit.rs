//! What is written down of who changed what: accounts, tokens, access, names, deletions. Structured log lines of the target
//! `larder::audit`, without a secret in them.

use std::fmt::Display;

use crate::{
    auth::{Caller, Session},
    kv::TokenId,
};

/// The target of these lines, to be filtered by.
const TARGET: &str = "larder::audit";

/// Notes that `caller` did `what` to `subject`; `detail` says more, or is empty.
pub fn note(caller: &Caller, what: &'static str, subject: &dyn Display, detail: &dyn Display) {
    let session = caller.session();
    let user = session.map_or("nobody", |session| session.user.username.as_str());
    let token = session.and_then(Session::token_id);
    let token = token.as_ref().map_or("first", TokenId::as_str);
    // Without quotes, and nothing where it is not known.
    let from = session.and_then(|session| session.ip).map(tracing::field::display);
    tracing::info!(target: TARGET, user, token, from, what, %subject, %detail, "a change was made");
}
