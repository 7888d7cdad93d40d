//! Flights: reads of an object that others join, so that a thousand who want the same cost the object store one call.

use std::sync::Arc;

use tokio::sync::watch;

use super::whole::Whole;

/// What came of a flight.
#[derive(Debug, Clone)]
pub enum Landing {
    /// The object.
    Object(Arc<Whole>),
    /// Nothing for others: an error, or an object that is too big to be shared. Each reads by himself.
    Alone,
}

/// A read under way, as those see it who join.
#[derive(Debug, Clone)]
pub struct Flight(watch::Receiver<Option<Landing>>);

/// A read under way, as the one sees it who makes it. Dropped before it landed, it leaves those who joined to themselves.
#[derive(Debug)]
pub struct Pilot(watch::Sender<Option<Landing>>);

impl Flight {
    /// A flight that begins.
    pub fn begin() -> (Pilot, Self) {
        let (sender, receiver) = watch::channel(None);
        (Pilot(sender), Self(receiver))
    }

    /// Waits for the end.
    pub async fn landing(mut self) -> Landing {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok().and_then(|landing| landing.clone()).unwrap_or(Landing::Alone)
    }

    /// Whether both are the same read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Pilot {
    /// Tells all who joined.
    pub fn land(self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}
