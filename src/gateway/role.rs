//! Gateway role in a cluster: standalone, peer, leader or follower.

use std::{sync::Arc, time::Duration};

use crate::{
    api::Api,
    auth::{AccountsError, Secrets, Token, UserRepository},
    clock::{Clock, Random},
    config::{Config, LeaderSetting},
    jobs::{Job, LifecycleRulesJob, MaintenanceJob, RunSupervision, TotalsJob},
    kv::{AbandonedUploads, CacheOptions, Catalog, Installation, LifecycleRules},
    outbound::{HttpClient, LeaderClient},
    storage::{ObjectStore, single_writer::SingleWriterStore},
};

use super::start::StartError;

/// Timeout for the leader's first start, on which a starting gateway waits.
const LEADER_START_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between checks for the leader's start.
const LEADER_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Write access of gateways to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendAccess {
    /// A single gateway.
    Exclusive,
    /// Any gateway, with conditional writes.
    SharedCas,
    /// Any gateway, but the object store has no conditional writes.
    SharedNoCas,
}

/// Role of a gateway.
#[derive(Debug)]
pub(super) enum Role {
    /// The only gateway.
    Standalone,
    /// One of several equal gateways.
    Peer,
    /// The only gateway that performs conditional writes and handles due items.
    Leader,
    /// A gateway that forwards conditional writes to the leader.
    Follower(Arc<HttpClient>),
}

impl Role {
    /// Returns the configured role of this gateway, over a backend with this access.
    pub(super) fn from_config(
        config: &Config,
        access: BackendAccess,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        match (access, &config.leader) {
            (BackendAccess::Exclusive, None | Some(LeaderSetting::ThisGateway)) => Ok(Self::Standalone),
            (BackendAccess::Exclusive, Some(LeaderSetting::OtherGateway(_))) => Err(StartError::LeaderOfFolder),
            (BackendAccess::SharedCas, leader) => {
                if leader.is_some() {
                    tracing::info!("LARDER_LEADER is ignored: the object store has conditional writes");
                }
                Ok(Self::Peer)
            }
            (BackendAccess::SharedNoCas, None) => Err(StartError::NoLeader),
            (BackendAccess::SharedNoCas, Some(leader)) => {
                require_shared_secrets(config)?;
                Ok(match leader {
                    LeaderSetting::ThisGateway => Self::Leader,
                    LeaderSetting::OtherGateway(address) => {
                        Self::Follower(Arc::new(HttpClient::leader(address.clone(), Arc::clone(clock))))
                    }
                })
            }
        }
    }

    /// Returns the name of the role, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Peer => "peer",
            Self::Leader => "leader",
            Self::Follower(_) => "follower",
        }
    }

    /// Returns the backend as this gateway writes to it. That of a follower rejects all conditional writes.
    pub(super) fn objects(&self, backend: &Arc<dyn ObjectStore>, clock: &Arc<dyn Clock>) -> Arc<dyn ObjectStore> {
        match self {
            Self::Standalone | Self::Peer | Self::Follower(_) => Arc::clone(backend),
            Self::Leader => Arc::new(SingleWriterStore::new(Arc::clone(backend), Arc::clone(clock))),
        }
    }

    /// Joins the installation in `objects`, with this gateway's secret, or creates one. A follower creates none: it
    /// waits for its leader.
    pub(super) async fn join(
        &self,
        objects: &dyn ObjectStore,
        (clock, random): (&dyn Clock, &dyn Random),
        secrets: &Secrets,
        replaced: Option<&str>,
    ) -> Result<Installation, StartError> {
        match self {
            Self::Standalone | Self::Peer | Self::Leader => {
                Ok(Installation::join(objects, random, secrets, replaced).await?)
            }
            Self::Follower(_) => tokio::select! {
                joined = wait_for_installation(objects, clock, secrets) => joined,
                () = clock.sleep(LEADER_START_TIMEOUT) => Err(StartError::LeaderNotStarted),
            },
        }
    }

    /// Returns the staleness bound of cached stores; unlimited if all changes come through this gateway.
    pub(super) fn staleness(&self) -> Option<Duration> {
        match self {
            Self::Standalone | Self::Leader => None,
            Self::Peer | Self::Follower(_) => Some(CacheOptions::SHARED_STALENESS),
        }
    }

    /// Returns the staleness bound of other gateways if lifecycle rules of the object store delete records; `None` if
    /// only this gateway does.
    pub(super) fn expiry_staleness(&self) -> Option<Duration> {
        match self {
            Self::Standalone => None,
            Self::Peer | Self::Leader | Self::Follower(_) => Some(CacheOptions::SHARED_STALENESS),
        }
    }

    /// Returns the accounts; creates them if there are none, or waits for the leader to do so.
    pub(super) async fn users(
        &self,
        objects: &Arc<dyn ObjectStore>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<UserRepository, StartError> {
        let (objects, random, staleness) = (Arc::clone(objects), Arc::clone(random), self.staleness());
        match self {
            Self::Standalone | Self::Peer | Self::Leader => {
                let users = UserRepository::open(objects, Arc::clone(clock), random, staleness).await?;
                Ok(users.cached_elsewhere(self.expiry_staleness()))
            }
            Self::Follower(_) => tokio::select! {
                users = wait_for_users(objects, clock, random, staleness) => Ok(users?),
                () = clock.sleep(LEADER_START_TIMEOUT) => Err(StartError::LeaderNotStarted),
            },
        }
    }

    /// Returns whether this gateway creates accounts: a follower leaves that to the leader.
    pub(super) fn creates_accounts(&self) -> bool {
        match self {
            Self::Standalone | Self::Peer | Self::Leader => true,
            Self::Follower(_) => false,
        }
    }

    /// Returns the API as this gateway serves it.
    pub(super) fn api(&self, api: Api) -> Api {
        match self {
            Self::Standalone | Self::Peer | Self::Leader => api,
            Self::Follower(leader) => api.with_leader(Arc::clone(leader)),
        }
    }

    /// Returns the client for this gateway's own calls to the leader, unless it is the leader.
    pub(super) fn leader_client(&self, token: &Token) -> Result<Option<Arc<LeaderClient>>, StartError> {
        match self {
            Self::Standalone | Self::Peer | Self::Leader => Ok(None),
            Self::Follower(leader) => {
                let leader_client =
                    LeaderClient::new(Arc::clone(leader), token.reveal()).ok_or(StartError::UnsendableToken)?;
                Ok(Some(Arc::new(leader_client)))
            }
        }
    }

    /// Returns the jobs of this gateway except the one for usage counters.
    pub(super) fn jobs(
        &self,
        catalog: &Arc<Catalog>,
        objects: &Arc<dyn ObjectStore>,
        runs: RunSupervision,
        uploads: AbandonedUploads,
    ) -> Vec<Arc<dyn Job>> {
        match self {
            Self::Standalone | Self::Peer | Self::Leader => {
                let rules = LifecycleRules::new(Arc::clone(objects));
                vec![
                    Arc::new(MaintenanceJob::store_reconciler(Arc::clone(catalog))),
                    Arc::new(MaintenanceJob::usage_recount(Arc::clone(catalog))),
                    Arc::new(LifecycleRulesJob::new(rules)),
                    Arc::new(TotalsJob::new(Arc::clone(catalog.totals()))),
                    Arc::new(MaintenanceJob::abandoned_uploads(uploads)),
                    Arc::new(runs.removal()),
                    Arc::new(runs),
                ]
            }
            Self::Follower(_) => Vec::new(),
        }
    }
}

/// Requires configured secrets: without conditional writes, the first gateway cannot create them for all.
fn require_shared_secrets(config: &Config) -> Result<(), StartError> {
    if config.secret.is_none() {
        return Err(StartError::NotShared("LARDER_SECRET"));
    }
    if config.token.is_none() {
        return Err(StartError::NotShared("LARDER_TOKEN"));
    }
    Ok(())
}

async fn wait_for_users(
    objects: Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    random: Arc<dyn Random>,
    staleness: Option<Duration>,
) -> Result<UserRepository, AccountsError> {
    loop {
        let (objects, random) = (Arc::clone(&objects), Arc::clone(&random));
        if let Some(users) = UserRepository::read(objects, Arc::clone(clock), random, staleness).await? {
            return Ok(users);
        }
        tracing::info!("waiting for the leader's first start");
        clock.sleep(LEADER_POLL_INTERVAL).await;
    }
}

async fn wait_for_installation(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    secrets: &Secrets,
) -> Result<Installation, StartError> {
    loop {
        if let Some(installation) = Installation::join_existing(objects, secrets).await? {
            return Ok(installation);
        }
        tracing::info!("waiting for the leader's first start");
        clock.sleep(LEADER_POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::MasterSecret,
        clock::{SystemClock, SystemRandom},
        storage::in_memory::InMemoryStore,
    };
    use larder_test_kit::no_conditional_writes::NoConditionalWrites;

    fn role(access: BackendAccess, leader: Option<&str>, is_shared: bool) -> Result<Role, StartError> {
        let mut config = Config { leader: leader.map(|text| text.parse().expect("a setting")), ..Config::default() };
        if is_shared {
            config.secret = Some(MasterSecret::new("secret"));
            config.token = Some(Token::new("token"));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Role::from_config(&config, access, &clock)
    }

    #[test]
    fn without_conditional_writes_a_leader_must_be_named_and_secrets_shared() {
        let other = Some("http://leader:8011");
        assert!(matches!(role(BackendAccess::SharedNoCas, None, true), Err(StartError::NoLeader)));
        assert!(matches!(role(BackendAccess::SharedNoCas, Some("self"), false), Err(StartError::NotShared(_))));
        assert!(matches!(role(BackendAccess::SharedNoCas, other, false), Err(StartError::NotShared(_))));
        assert!(matches!(role(BackendAccess::SharedNoCas, Some("self"), true), Ok(Role::Leader)));
        assert!(matches!(role(BackendAccess::SharedNoCas, other, true), Ok(Role::Follower(_))));
    }

    #[test]
    fn with_conditional_writes_or_alone_nothing_need_be_set() {
        assert!(matches!(role(BackendAccess::SharedCas, None, false), Ok(Role::Peer)));
        assert!(matches!(role(BackendAccess::SharedCas, Some("http://leader:8011"), false), Ok(Role::Peer)));
        assert!(matches!(role(BackendAccess::Exclusive, None, false), Ok(Role::Standalone)));
        assert!(matches!(
            role(BackendAccess::Exclusive, Some("http://leader:8011"), false),
            Err(StartError::LeaderOfFolder)
        ));
    }

    #[tokio::test]
    async fn a_gateway_that_is_not_the_leader_waits_for_the_accounts_that_it_makes() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let memory: Arc<dyn ObjectStore> = Arc::new(InMemoryStore::new(Arc::clone(&clock)));
        let backend: Arc<dyn ObjectStore> = Arc::new(NoConditionalWrites::new(memory));
        let other = role(BackendAccess::SharedNoCas, Some("http://leader:8011"), true).expect("a role");
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let open =
            async |role: &Role| role.users(&role.objects(&backend, &clock), &clock, &random).await.expect("accounts");
        let starts = async {
            tokio::task::yield_now().await;
            open(&Role::Leader).await
        };
        let (waited, made) = tokio::join!(open(&other), starts);
        assert_eq!(waited.admin().await.expect("an account"), made.admin().await.expect("an account"));
    }
}
