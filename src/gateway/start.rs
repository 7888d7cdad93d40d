//! A gateway's life: built from the configuration, run until told to stop, closed so that nothing counted is lost.

use std::{future::Future, net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr}, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Secrets, Tokens, Users},
    clock::{Clock, Random, SystemClock, SystemRandom},
    config::Config,
    jobs::{ActivityFlush, Job, StoreRemovals, schedule},
    kv::Catalog,
    server::{Drained, Server, raise_file_limit},
};

use super::{
    admin_token::AdminToken,
    backend,
    error::{StartError, StopError},
    front::Front,
};

/// A whole Larder.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    front: Front,
    admin_token: AdminToken,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    /// Builds a gateway. Its address is bound from now on, but nothing is served before [`Gateway::run`].
    pub async fn open(config: Config) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        warn_of_few_descriptors(config.server.max_connections);
        // The address first: whoever starts Larder twice should hear of the port, and no folder should be made.
        let server = Server::bind(config.server.clone(), Arc::clone(&clock)).map_err(StartError::Bind)?;
        let objects = backend::open(&config, &clock).await?;
        let admin_token = AdminToken::open(config.token.as_ref(), &config.data, random.as_ref())?;
        let secrets = match config.secret {
            Some(master) => Secrets::new(master),
            None => Secrets::open(objects.as_ref(), random.as_ref()).await?,
        };
        let users = Users::open(objects.as_ref(), clock.as_ref(), random.as_ref()).await?;
        let admin = users.admin().ok_or(StartError::NoAdmin)?;
        let tokens = Tokens::new(&admin_token.token, Arc::clone(admin));
        let catalog =
            Arc::new(Catalog::new(Arc::clone(&objects), Arc::clone(&clock), Arc::clone(&random), &config.catalog));
        let public_url = match config.public_url {
            Some(url) => url.as_str().to_owned(),
            None => listening_url(server.local_addr()),
        };
        Ok(Self { server, front, admin_token, catalog, clock })
    }
