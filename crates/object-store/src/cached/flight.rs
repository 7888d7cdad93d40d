//! Single flight: concurrent reads of an object share one call of the object store.

use std::sync::Arc;

use tokio::sync::watch;

use super::whole::Whole;

/// The result of a flight.
#[derive(Debug, Clone)]
pub enum Landing {
    /// The object.
    Object(Arc<Whole>),
    /// No result to share: an error, or an object that is too large. Each reader reads on its own.
    Alone,
}

/// A read in flight, as its followers see it.
#[derive(Debug, Clone)]
pub struct Flight(watch::Receiver<Option<Landing>>);

/// A read in flight, as its reader sees it. Dropped before it landed, it leaves the followers to read on their own.
#[derive(Debug)]
pub struct Pilot(watch::Sender<Option<Landing>>);

impl Flight {
    /// Starts a flight.
    pub fn begin() -> (Pilot, Self) {
        let (sender, receiver) = watch::channel(None);
        (Pilot(sender), Self(receiver))
    }

    /// Waits for the result.
    pub async fn landing(mut self) -> Landing {
        let landed = self.0.wait_for(Option::is_some).await;
        landed.ok().and_then(|landing| landing.clone()).unwrap_or(Landing::Alone)
    }

    /// Returns whether both are the same read.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Pilot {
    /// Publishes the result to all followers.
    pub fn land(self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}
