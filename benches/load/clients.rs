//! The load: connections that ask one after the other, for a limited time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

use crate::{
    figures::{Draws, Outcome, Samples},
    load::connection::{Connection, Request},
};

/// Maximum number of requests of one connection in a round: more than any of these servers can answer in that time.
const MAX_REQUESTS: usize = 50_000;

/// Timeout for the last responses after the time of a round.
const TAIL_LIMIT: Duration = Duration::from_secs(40);

/// Connections to one server, and the records they ask for.
#[derive(Debug)]
pub struct Load {
    connections: Vec<Client>,
    keys: u64,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    draws: Draws,
    times: Vec<Duration>,
}

/// Results of a round.
#[derive(Debug)]
pub struct Round {
    /// Requests that were answered.
    pub requests: u32,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
    /// Duration of each request.
    pub times: Samples,
}

impl Load {
    /// Connects `connections` times; each connection sends `request` for one of the first `keys` records.
    pub async fn open(address: SocketAddr, request: &Request, keys: u64, connections: usize) -> Outcome<Self> {
        let count = connections as u64;
        let mut connections = Vec::with_capacity(connections);
        for seed in 0..count {
            let connection = Connection::open(address, request).await?;
            connections.push(Client { connection, draws: Draws::new(seed), times: Vec::with_capacity(MAX_REQUESTS) });
        }
        Ok(Self { connections, keys })
    }

    /// Asks for each record once, in turn; `expected` is what a record must be.
    pub async fn sweep(&mut self, expected: Option<&[u8]>) -> Outcome<()> {
        let clients = self.connections.len();
        let mut numbers = 0..self.keys;
        while !numbers.is_empty() {
            let turn = self.connections.iter_mut().zip(numbers.by_ref().take(clients));
            let exchanges = turn.map(|(client, number)| client.connection.exchange(number, expected));
            futures_util::future::try_join_all(exchanges).await?;
        }
        Ok(())
    }

    /// One round; no request begins later than `limit` after its start.
    pub async fn round(&mut self, limit: Duration) -> Outcome<Round> {
        let keys = self.keys;
        let started = Instant::now();
        let mut running = JoinSet::new();
        for client in self.connections.drain(..) {
            running.spawn(client.run(keys, started + limit));
        }
        let mut times = Samples::with_room(MAX_REQUESTS);
        let mut requests = 0;
        let collected = async {
            while let Some(client) = running.join_next().await {
                let mut client = client??;
                requests += u32::try_from(client.times.len())?;
                client.times.drain(..).for_each(|time| times.push(time));
                self.connections.push(client);
            }
            Outcome::Ok(started.elapsed())
        };
        let elapsed =
            timeout(limit + TAIL_LIMIT, collected).await.map_err(|_| "a round does not come to its end")??;
        Ok(Round { requests, elapsed, times })
    }
}

impl Client {
    async fn run(mut self, keys: u64, end: Instant) -> Outcome<Self> {
        for _ in 0..MAX_REQUESTS {
            let sent = Instant::now();
            if sent >= end {
                break;
            }
            self.connection.exchange(self.draws.below(keys), None).await?;
            self.times.push(sent.elapsed());
        }
        Ok(self)
    }
}
