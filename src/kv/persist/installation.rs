//! The identity of an installation: the id in `larder/format` that all its gateways know, and the fingerprint of the
//! secret they share.
//!
//! A gateway joins the installation when it starts, and then rereads the object periodically
//! ([`Installation::check`]). If the object is missing or names another installation, no reader would find what the
//! gateway writes, so all calls are fenced off. If only the fingerprint differs, writes are.

use std::sync::Arc;

use crate::{
    clock::Random,
    storage::{
        self, ObjectStore,
        fence::{Fence, FencedCalls, FencedStore},
    },
};

use super::{
    format_version::{FormatError, FormatObject, read_format},
    json::{JsonError, create_json, read_json, replace_json},
    object_keys,
};

/// Characters of the id of an installation.
const ID_LENGTH: usize = 16;

/// Letters of the id of an installation.
const ID_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Maximum number of attempts to write the object under contention or after a lost response.
const MAX_JOIN_ATTEMPTS: usize = 4;

/// The master secret of a gateway, as far as this module needs it.
pub trait SecretFingerprint {
    /// Returns the fingerprint of the secret in the installation with this id.
    fn fingerprint(&self, installation: &str) -> String;
}

/// A gateway cannot join an installation.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The object `larder/format` cannot be read, written or used.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The gateways of the installation use another secret.
    #[error(
        "cannot join the installation: the fingerprint of LARDER_SECRET is {own} here, and {found} in the object larder/format; \
         set the same LARDER_SECRET on all gateways of this bucket and prefix, or of this folder. To replace the secret, which \
         revokes all signed links, also set LARDER_OLD_SECRET_FINGERPRINT={found}"
    )]
    OtherSecret {
        /// The fingerprint in the object.
        found: String,
        /// The fingerprint of this gateway's secret.
        own: String,
    },
}

impl From<JsonError> for JoinError {
    fn from(error: JsonError) -> Self {
        Self::Format(error.into())
    }
}

/// Reasons for which a gateway must stop using the objects it finds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationLost {
    /// The object is gone.
    #[error(
        "the object larder/format is missing: the objects of this installation were deleted, or the bucket, the prefix or the \
         folder has been replaced; restore them, or restart the gateway to create a new installation"
    )]
    Missing,
    /// The object cannot be read.
    #[error("the object larder/format is damaged: restore it from a backup")]
    Damaged,
    /// The object belongs to another installation.
    #[error(
        "the objects are those of another installation ({found}, and the gateway belongs to {own}): two installations use one \
         prefix, or the objects were replaced; use one prefix for each, or restart the gateway to join the other installation"
    )]
    Replaced {
        /// The id found.
        found: String,
        /// The id of the installation that the gateway joined.
        own: String,
    },
    /// The object names another secret.
    #[error(
        "the gateways of this installation have different secrets: the fingerprint of LARDER_SECRET is {own} here, and {found} \
         in the object larder/format; set the same LARDER_SECRET on all gateways, and restart this one"
    )]
    OtherSecret {
        /// The fingerprint in the object.
        found: String,
        /// The fingerprint of this gateway's secret.
        own: String,
    },
    /// A newer version has raised the format.
    #[error("{0}")]
    Newer(String),
}

impl InstallationLost {
    fn fenced_calls(&self) -> FencedCalls {
        match self {
            Self::Missing | Self::Damaged | Self::Replaced { .. } => FencedCalls::All,
            Self::OtherSecret { .. } | Self::Newer(_) => FencedCalls::Writes,
        }
    }
}

/// A check of the installation failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The installation is not the one that the gateway joined.
    #[error(transparent)]
    Lost(#[from] InstallationLost),
    /// The object store failed, so the state is unknown.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// The installation that a gateway joined.
#[derive(Debug, Clone)]
pub struct Installation {
    id: String,
    secret_fingerprint: String,
    fence: Fence,
}

impl Installation {
    /// Joins the installation in `objects`, or creates one if there is none. Fills in members that are missing in
    /// `larder/format`. A secret whose fingerprint is `replaced` is replaced by this gateway's. One read, and a
    /// conditional write if anything changes.
    pub async fn join(
        objects: &dyn ObjectStore,
        random: &dyn Random,
        secret: &dyn SecretFingerprint,
        replaced: Option<&str>,
    ) -> Result<Self, JoinError> {
        let mut failed = None;
        for _ in 0..MAX_JOIN_ATTEMPTS {
            let found = read_format(objects).await?;
            let (mut next, etag) = match &found {
                None => (FormatObject::current(), None),
                Some((object, etag)) => (object.clone(), Some(etag.clone())),
            };
            let id = next.installation.get_or_insert_with(|| new_id(random)).clone();
            let own = secret.fingerprint(&id);
            let known = next.secret_fingerprint.get_or_insert_with(|| own.clone());
            if *known != own {
                if replaced != Some(known.as_str()) {
                    return Err(JoinError::OtherSecret { found: known.clone(), own });
                }
                known.clone_from(&own);
            }
            let joined = Self { id, secret_fingerprint: own, fence: Fence::default() };
            if found.as_ref().is_some_and(|(object, _)| *object == next) {
                return Ok(joined);
            }
            // The last write failed, and the read since does not show it.
            if let Some(error) = failed {
                return Err(error);
            }
            let written = match etag {
                None => create_json(objects, object_keys::FORMAT, &next).await,
                Some(etag) => replace_json(objects, object_keys::FORMAT, &next, etag).await,
            };
            match written {
                Ok(true) => {
                    let (format, installation) = (next.format, &joined.id);
                    tracing::info!(format, installation, "wrote the format and the identity of the installation");
                    return Ok(joined);
                }
                // Another gateway won, or our own write did and its response was lost.
                Ok(false) => {}
                Err(error) => failed = Some(error.into()),
            }
        }
        Err(failed.unwrap_or_else(|| JsonError::Storage(storage::Error::Precondition).into()))
    }

    /// Joins an installation that another gateway creates; `None` until it has. One read.
    pub async fn join_existing(
        objects: &dyn ObjectStore,
        secret: &dyn SecretFingerprint,
    ) -> Result<Option<Self>, JoinError> {
        let Some((FormatObject { installation: Some(id), secret_fingerprint: Some(found), .. }, _)) =
            read_format(objects).await?
        else {
            return Ok(None);
        };
        let own = secret.fingerprint(&id);
        if found != own {
            return Err(JoinError::OtherSecret { found, own });
        }
        Ok(Some(Self { id, secret_fingerprint: own, fence: Fence::default() }))
    }

    /// Wraps `objects` in the fence that [`check`](Self::check) raises and lowers.
    pub fn fenced(&self, objects: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(FencedStore::new(objects, self.fence.clone()))
    }

    /// Checks that `objects`, which must not be behind the fence, still belong to the installation. Raises the fence
    /// if not, and lowers it once they do again; a failure of the object store leaves it unchanged. One read, and a
    /// second one if the object is missing.
    pub async fn check(&self, objects: &dyn ObjectStore) -> Result<(), CheckError> {
        let mut checked = self.read_and_compare(objects).await;
        if matches!(checked, Err(CheckError::Lost(InstallationLost::Missing))) {
            checked = self.read_and_compare(objects).await;
        }
        match &checked {
            Ok(()) => self.fence.lower(),
            Err(CheckError::Lost(lost)) => self.fence.raise(lost.fenced_calls(), &lost.to_string()),
            Err(CheckError::Storage(_)) => {}
        }
        checked
    }

    async fn read_and_compare(&self, objects: &dyn ObjectStore) -> Result<(), CheckError> {
        let found = match read_json::<FormatObject>(objects, object_keys::FORMAT).await {
            Ok(Some((found, _))) => found,
            Ok(None) => return Err(InstallationLost::Missing.into()),
            Err(JsonError::Damaged { .. }) => return Err(InstallationLost::Damaged.into()),
            Err(JsonError::Storage(error)) => return Err(error.into()),
        };
        found.check_usable().map_err(|error| InstallationLost::Newer(error.to_string()))?;
        if found.installation.as_deref() != Some(&self.id) {
            let found = found.installation.unwrap_or_else(|| "without an id".to_owned());
            return Err(InstallationLost::Replaced { found, own: self.id.clone() }.into());
        }
        if found.secret_fingerprint.as_deref() != Some(&self.secret_fingerprint) {
            let found = found.secret_fingerprint.unwrap_or_else(|| "none".to_owned());
            return Err(InstallationLost::OtherSecret { found, own: self.secret_fingerprint.clone() }.into());
        }
        Ok(())
    }
}

fn new_id(random: &dyn Random) -> String {
    String::from_utf8_lossy(&random.characters(ID_ALPHABET, ID_LENGTH)).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        clock::{SeededRandom, SystemClock},
        kv::persist::format_version::FORMAT,
        storage::{ByteStream, Precondition, PutOptions, in_memory::InMemoryStore},
    };
    use larder_test_kit::fault_injection::{Call, Fault, FaultInjector, Refusal};

    /// A secret that is its own fingerprint.
    struct Plain(&'static str);

    impl SecretFingerprint for Plain {
        fn fingerprint(&self, _: &str) -> String {
            self.0.to_owned()
        }
    }

    async fn join(objects: &InMemoryStore, seed: u64, secret: &'static str) -> Result<Installation, JoinError> {
        Installation::join(objects, &SeededRandom::new(seed), &Plain(secret), None).await
    }

    async fn object(objects: &InMemoryStore) -> serde_json::Value {
        read_json(objects, object_keys::FORMAT).await.expect("it is read").expect("it is there").0
    }

    async fn holding(object: serde_json::Value) -> InMemoryStore {
        let objects = InMemoryStore::new(Arc::new(SystemClock));
        create_json(&objects, object_keys::FORMAT, &object).await.expect("it is written");
        objects
    }

    #[tokio::test]
    async fn the_first_gateway_founds_an_installation_and_the_next_ones_join_it() {
        let objects = InMemoryStore::new(Arc::new(SystemClock));
        assert!(Installation::join_existing(&objects, &Plain("a")).await.expect("a read").is_none());
        let first = join(&objects, 1, "a").await.expect("nothing is there");
        let second = join(&objects, 2, "a").await.expect("the same secret");
        let third = Installation::join_existing(&objects, &Plain("a")).await.expect("a read").expect("it is founded");
        assert_eq!((&first.id, &first.id), (&second.id, &third.id));
        assert_eq!(object(&objects).await["format"], FORMAT);
        first.check(&objects).await.expect("nothing has changed");
    }

    #[tokio::test]
    async fn missing_members_are_filled_in_and_unknown_ones_are_left() {
        for (format, usable_from) in [(FORMAT, FORMAT), (FORMAT + 2, FORMAT)] {
            let before = json!({ "format": format, "usableFrom": usable_from, "writtenBy": "9.8.7", "newMember": [1] });
            let objects = holding(before).await;
            let joined = join(&objects, 1, "a").await.expect("it can be used");
            let after = object(&objects).await;
            assert_eq!(after["format"], format);
            assert_eq!((&after["installation"], &after["secretFingerprint"]), (&json!(joined.id), &json!("a")));
            assert_eq!(after["newMember"], json!([1]), "it is written back as it was read");
        }
    }

    #[tokio::test]
    async fn a_newer_format_is_refused_and_left_alone() {
        let before = json!({ "format": FORMAT + 2, "usableFrom": FORMAT + 1, "writtenBy": "9.8.7" });
        let objects = holding(before.clone()).await;
        let words = join(&objects, 1, "a").await.expect_err("it cannot be used").to_string();
        assert!(words.contains(&format!("format {}", FORMAT + 2)) && words.contains("start Larder 9.8.7"), "{words}");
        assert_eq!(object(&objects).await, before);
    }

    #[tokio::test]
    async fn another_secret_is_refused_unless_it_replaces_the_one_that_is_named() {
        let objects = InMemoryStore::new(Arc::new(SystemClock));
        let first = join(&objects, 1, "a").await.expect("nothing is there");
        let before = object(&objects).await;
        assert!(matches!(join(&objects, 2, "b").await, Err(JoinError::OtherSecret { .. })));
        let founded = Installation::join_existing(&objects, &Plain("b")).await;
        assert!(matches!(founded, Err(JoinError::OtherSecret { .. })), "{founded:?}");
        let replace = async |named| Installation::join(&objects, &SeededRandom::new(2), &Plain("b"), Some(named)).await;
        replace("c").await.expect_err("another one is named");
        assert_eq!(object(&objects).await, before);
        replace("a").await.expect("it is replaced");
        replace("a").await.expect("the setting may stay");
        let lost = first.check(&objects).await.expect_err("the secret is another one");
        assert!(matches!(lost, CheckError::Lost(InstallationLost::OtherSecret { .. })), "{lost:?}");
    }

    #[tokio::test]
    async fn of_gateways_that_start_at_once_one_founds_the_installation() {
        let objects = InMemoryStore::new(Arc::new(SystemClock));
        let joined = futures_util::future::join_all((0..8).map(|seed| join(&objects, seed, "a"))).await;
        let ids: std::collections::BTreeSet<_> =
            joined.into_iter().map(|joined| joined.expect("it joins").id).collect();
        assert_eq!(ids.len(), 1);
    }

    #[tokio::test]
    async fn a_failure_of_the_object_store_neither_raises_the_fence_nor_lowers_it() {
        let clock = Arc::new(SystemClock);
        let memory = Arc::new(InMemoryStore::new(clock.clone()));
        let faulty = FaultInjector::new(memory.clone(), clock);
        let installation = join(&memory, 1, "a").await.expect("nothing is there");
        let fenced = installation.fenced(memory.clone());
        let fail = async || {
            faulty.inject(Call::default(), Fault::Refuse(Refusal::Unavailable));
            let failed = installation.check(&faulty).await;
            assert!(matches!(failed, Err(CheckError::Storage(_))), "{failed:?}");
        };
        fail().await;
        fenced.put("k", ByteStream::empty(), PutOptions::default()).await.expect("no fence is raised");
        memory.delete(object_keys::FORMAT, Precondition::None).await.expect("it is deleted");
        installation.check(&faulty).await.expect_err("it is lost");
        fail().await;
        assert!(matches!(fenced.head("k").await, Err(storage::Error::Fenced(_))));
    }
}
