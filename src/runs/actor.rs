//! The subject of a run: an actor, or a task of one. There is no registry of actors: any name is valid, and the id is
//! derived from owner and name.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

use crate::{
    clock::Random,
    kv::{ActorId, UserId},
};

/// Maximum length of a name (`ACTOR_NAME` of `@apify/consts` allows 63).
const MAX_LENGTH: usize = 63;

/// Kind of the subject of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorKind {
    /// An actor.
    Actor,
    /// A task: an actor with an input of its own.
    Task,
}

impl ActorKind {
    /// Returns the name of the kind in keys, and in the derivation of ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Task => "task",
        }
    }
}

/// The name of an actor or a task, unique for its owner without regard to letter case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorName(String);

/// The text is not a valid actor name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of an actor or a task is 1 to {MAX_LENGTH} letters, digits, '-', '_' and '.'")]
pub struct InvalidActorName;

impl FromStr for ActorName {
    type Err = InvalidActorName;

    fn from_str(text: &str) -> Result<Self, InvalidActorName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed);
        is_name.then(|| Self(text.to_owned())).ok_or(InvalidActorName)
    }
}

impl fmt::Display for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ActorName {
    /// Returns the id of `owner`'s actor or task of this name. It is deterministic.
    pub fn id(&self, kind: ActorKind, owner: &UserId) -> ActorId {
        derived(&[kind.as_str(), owner.as_str(), &self.0.to_ascii_lowercase()])
    }
}

/// Returns the id of an actor's build. Clients want one, but Larder has no builds.
pub fn build_id(actor: &ActorId, build: &str) -> ActorId {
    derived(&["build", actor.as_str(), build])
}

fn derived(parts: &[&str]) -> ActorId {
    ActorId::generate(&Derived(Sha256::digest(parts.join("\n").as_bytes()).into()))
}

/// A source of bytes derived from a hash, in place of random ones.
#[derive(Debug)]
struct Derived([u8; 32]);

impl Random for Derived {
    fn fill(&self, bytes: &mut [u8]) {
        for (count, chunk) in (0_u8..).zip(bytes.chunks_mut(self.0.len())) {
            let hash = Sha256::new().chain_update(self.0).chain_update([count]).finalize();
            chunk.copy_from_slice(&hash[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_name_has_one_id_for_its_owner_in_any_letter_case() {
        let random = SeededRandom::new(1);
        let (one, other) = (UserId::generate(&random), UserId::generate(&random));
        let id = |name: &str, kind, owner| name.parse::<ActorName>().expect("a name").id(kind, owner);
        assert_eq!(id("shop-crawler", ActorKind::Actor, &one), id("Shop-Crawler", ActorKind::Actor, &one));
        let others = [
            id("shop-crawler", ActorKind::Actor, &other),
            id("shop-crawler", ActorKind::Task, &one),
            id("shop-crawler-2", ActorKind::Actor, &one),
        ];
        assert!(!others.contains(&id("shop-crawler", ActorKind::Actor, &one)));
    }

    #[test]
    fn an_id_that_was_derived_stays_what_it_was() {
        let owner: UserId = "WkzbQMuFYuamGv3YF".parse().expect("an id");
        let id = "my-actor".parse::<ActorName>().expect("a name").id(ActorKind::Actor, &owner);
        assert_eq!(id.as_str(), "m3fRRfDd6vRaqx9x8");
    }

    #[test]
    fn what_could_lead_astray_is_no_name() {
        for text in ["", "a/b", "a~b", "a b", "ä", &"a".repeat(64)] {
            assert!(text.parse::<ActorName>().is_err(), "{text}");
        }
    }
}
