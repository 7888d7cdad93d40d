//! Who we are to the object store: keys, where they come from, and their renewal before they expire.

use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;

use crate::clock::{Clock, Timestamp};

use super::{
    super::{
        cause::BoxError,
        error::{Error, Result},
    },
    signing_key::SigningKey,
};

/// How long before they expire credentials are renewed.
const RENEWED_BEFORE: Duration = Duration::from_mins(5);

/// How long nobody asks for new credentials after that failed, while the old ones are still good.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Keys of an account of the object store.
pub struct Credentials {
    /// The key's name, which is no secret.
    pub access_key_id: String,
    /// What comes with temporary keys.
    pub session_token: Option<String>,
    /// When they end, if they do.
    pub expires_at: Option<Timestamp>,
    secret: String,
    signing_key: Mutex<Option<SigningKey>>,
}

impl Credentials {
    /// Keys as they were given.
    pub fn new(
        access_key_id: String,
        secret: String,
        session_token: Option<String>,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self { access_key_id, session_token, expires_at, secret, signing_key: Mutex::default() }
    }

    /// The key that signs requests of a day (`YYYYMMDD`) in a region; derived once for each day.
    pub fn signing_key(&self, day: [u8; 8], region: &str) -> SigningKey {
        let mut cached = self.signing_key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some(key) if key.is_for(day, region) => key.clone(),
            Some(_) | None => cached.insert(SigningKey::derive(&self.secret, day, region)).clone(),
        }
    }

    fn is_good_for(&self, duration: Duration, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end.since(now) > duration)
    }
}

impl Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Where credentials come from.
#[async_trait]
pub trait CredentialsSource: Debug + Send + Sync + 'static {
    /// Credentials that are good now.
    async fn load(&self) -> std::result::Result<Credentials, BoxError>;
}

/// The credentials in use.
#[derive(Debug)]
pub struct CurrentCredentials {
    source: Arc<dyn CredentialsSource>,
    clock: Arc<dyn Clock>,
    current: RwLock<Option<Arc<Credentials>>>,
    /// Whoever holds it renews; inside, when that failed last.
    turn: tokio::sync::Mutex<Option<Duration>>,
}

impl CurrentCredentials {
    /// Credentials that are loaded when they are first needed.
    pub fn new(source: Arc<dyn CredentialsSource>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, current: RwLock::default(), turn: tokio::sync::Mutex::default() }
    }

    /// Credentials that are good now.
    pub async fn get(&self) -> Result<Arc<Credentials>> {
        let known = self.known();
        match known {
            Some(known) if known.is_good_for(RENEWED_BEFORE, self.clock.now()) => Ok(known),
            Some(known) if known.is_good_for(Duration::ZERO, self.clock.now()) => {
                // One renews, the others go on with what is still good.
                match self.turn.try_lock() {
                    Ok(turn) => self.renew(turn).await.or(Ok(known)),
                    Err(_) => Ok(known),
                }
            }
            Some(_) | None => {
                let turn = self.turn.lock().await;
                match self.known() {
                    Some(known) if known.is_good_for(Duration::ZERO, self.clock.now()) => Ok(known),
                    Some(_) | None => self.renew(turn).await,
                }
            }
        }
    }

    async fn renew(&self, mut turn: tokio::sync::MutexGuard<'_, Option<Duration>>) -> Result<Arc<Credentials>> {
        let now = self.clock.monotonic();
        let is_known = self.known().is_some();
        if is_known && turn.is_some_and(|failed| now.saturating_sub(failed) < PAUSE_AFTER_FAILURE) {
            return Err(Error::Unavailable("credentials could not be renewed just now".into()));
        }
        match self.source.load().await {
            Ok(loaded) => {
                let loaded = Arc::new(loaded);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&loaded));
                *turn = None;
                Ok(loaded)
            }
            Err(error) => {
                tracing::warn!(%error, "credentials for the object store cannot be loaded");
                *turn = Some(now);
                Err(Error::Unavailable(error))
            }
        }
    }

    fn known(&self) -> Option<Arc<Credentials>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
