//! Reloads the configuration while requests are served: all changeable settings, or none.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    api::{ApiOptions, LinkOrigin},
    auth::{TokenRepository, UserRepository},
    clock::{Clock, SystemClock, Timestamp},
    config::Config,
    kv::Catalog,
    runs::RunRepository,
    server::{Tls, TrustedProxies, reachable_address},
};

use super::{
    backend::BackendKind,
    bootstrap::BootstrapUser,
    http_router::{BasePath, HttpRouter},
    start::StartError,
};

/// The parts of a running gateway that a reload changes. It does not keep the gateway alive.
#[derive(Debug)]
pub struct Reloader {
    pub(super) router: Arc<HttpRouter>,
    pub(super) backend_kind: BackendKind,
    pub(super) catalog: Arc<Catalog>,
    pub(super) runs: Arc<RunRepository>,
    pub(super) users: Arc<UserRepository>,
    pub(super) tokens: Arc<TokenRepository>,
    pub(super) creates_accounts: bool,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) trusted_proxies: Arc<ArcSwap<TrustedProxies>>,
    pub(super) drain_delay: DrainDelay,
    pub(super) address: SocketAddr,
}

impl Reloader {
    /// Returns the scheme of the gateway's URL.
    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Applies the changeable settings of `config`, and reloads the credentials of the object store. If any of it is
    /// invalid, nothing changes. Cached accounts and tokens are invalidated; running requests and open connections
    /// keep their settings.
    pub async fn apply(&self, config: &Config) -> Result<(), StartError> {
        let fresh = Tls::load(&config.server.tls)?;
        warn_of_certificate(fresh.as_ref(), SystemClock.now());
        let bootstrap_user = BootstrapUser::from_config(config).filter(|_| self.creates_accounts);
        self.backend_kind.reload_credentials().await?;
        self.users.invalidate();
        self.tokens.invalidate();
        BootstrapUser::ensure(bootstrap_user, &self.users, &self.tokens).await?;
        match (&self.tls, fresh) {
            (Some(running), Some(fresh)) => running.replace(fresh),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => tracing::warn!("HTTPS is switched on or off only by a restart"),
        }
        self.trusted_proxies.store(Arc::new(config.server.trusted_proxies.clone()));
        self.drain_delay.set(config.server.drain_delay);
        self.catalog.set_retention(config.catalog.retention);
        self.runs.set_retention(config.run_retention());
        let options = api_options(config, self.address, self.tls.is_some());
        self.router.reconfigure(options, BasePath::from_config(config));
        Ok(())
    }
}

/// Warns of a certificate that clients reject, or soon will.
pub(super) fn warn_of_certificate(tls: Option<&Tls>, now: Timestamp) {
    if let Some(warning) = tls.and_then(Tls::validity).and_then(|validity| validity.warning(now)) {
        tracing::warn!("{warning}");
    }
}

/// Time for which a gateway keeps serving after it is told to stop.
#[derive(Debug, Clone)]
pub(super) struct DrainDelay(Arc<AtomicU64>);

impl DrainDelay {
    pub(super) fn new(delay: Duration) -> Self {
        let own = Self(Arc::default());
        own.set(delay);
        own
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn set(&self, delay: Duration) {
        self.0.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// Returns the options of the API of a gateway that listens on `address`.
pub(super) fn api_options(config: &Config, address: SocketAddr, is_encrypted: bool) -> ApiOptions {
    let public_url = match &config.public_url {
        Some(url) => LinkOrigin::Fixed(url.as_str().to_owned()),
        None => LinkOrigin::Assumed(listening_url(address, is_encrypted)),
    };
    ApiOptions {
        public_url,
        max_record_bytes: config.max_record_bytes,
        rates: config.rates,
        max_requests: config.max_requests,
        quota: config.quota,
        metrics_token: config.metrics_token.clone(),
        prices: config.prices.clone(),
    }
}

/// Returns the URL at which clients reach a gateway that listens on `address`, unless a trusted proxy overrides it.
pub(super) fn public_url(config: &Config, address: SocketAddr, is_encrypted: bool) -> String {
    let configured = config.public_url.as_ref().map(ToString::to_string);
    configured.unwrap_or_else(|| listening_url(address, is_encrypted))
}

/// Returns the origin of links without a known public URL: the address at which this machine reaches the listener.
pub(super) fn listening_url(address: SocketAddr, is_encrypted: bool) -> String {
    let scheme = if is_encrypted { "https" } else { "http" };
    format!("{scheme}://{}", reachable_address(address))
}
