//! The operations as a client sees them: requests to the program, over one connection.

use std::time::Duration;

use crate::{
    client::Client,
    figures::{Draws, Outcome},
    fill::key,
};

/// A request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The store itself.
    Store,
    /// A record at random.
    Record,
    /// A page of so many keys from a random place on.
    Keys(usize),
}

/// All requests, with their names.
pub const REQUESTS: [(&str, Request); 4] = [
    ("the store", Request::Store),
    ("a record", Request::Record),
    ("100 keys", Request::Keys(100)),
    ("1,000 keys", Request::Keys(1000)),
];

/// A store by its id, and the number of its records.
#[derive(Debug)]
pub struct Target {
    /// Its id.
    pub id: String,
    /// Number of its records.
    pub count: u64,
}

impl Target {
    /// Sends a request for a random key. Returns its duration.
    pub fn time(&self, client: &mut Client, request: Request, draws: &mut Draws) -> Outcome<Duration> {
        let store = format!("/v2/key-value-stores/{}", self.id);
        match request {
            Request::Store => Ok(client.read(&store)?.0),
            Request::Record => {
                let number = draws.below(self.count);
                let (took, body) = client.read(&format!("{store}/records/{}", key(number)?.as_str()))?;
                let is_right = body.starts_with(format!("{number:010}").as_bytes());
                if is_right { Ok(took) } else { Err("another record was read".into()) }
            }
            Request::Keys(limit) => {
                // Only where a whole page follows, so that pages of both stores hold as many keys.
                let places = (self.count + 1).saturating_sub(limit as u64).max(1);
                let number = draws.below(places);
                let after = match number.checked_sub(1) {
                    Some(before) => format!("&exclusiveStartKey={}", key(before)?.as_str()),
                    None => String::new(),
                };
                let (took, body) = client.read(&format!("{store}/keys?limit={limit}{after}"))?;
                let first = format!("\"{}\"", key(number)?.as_str());
                let is_right = body.windows(first.len()).any(|part| part == first.as_bytes());
                if is_right { Ok(took) } else { Err("another page was listed".into()) }
            }
        }
    }
}
