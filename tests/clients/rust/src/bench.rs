//! Environment of a check: the client, and stores that are removed when the check is over.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use apify_client::clients::key_value_store::KeyValueStoreClient;
use apify_client::models::KeyValueStore;
use apify_client::{ApifyClient, ApifyClientResult};

/// Maximum number of concurrent requests of a bulk step.
const CONCURRENCY: usize = 16;

/// Outcome of a check; a failed assertion panics instead.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// A check, by the promise it makes sure of.
pub struct Check {
    pub name: &'static str,
    pub run: fn(Bench) -> Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

/// Lists functions as checks: the name of a function is the name of its check.
macro_rules! checks {
    ($($name:ident),+ $(,)?) => {
        pub fn checks() -> Vec<$crate::bench::Check> {
            vec![$($crate::bench::Check { name: stringify!($name), run: |bench| Box::pin($name(bench)) }),+]
        }
    };
}
pub(crate) use checks;

/// The client and the stores made with it.
#[derive(Clone)]
pub struct Bench {
    pub url: String,
    pub client: ApifyClient,
    made: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub fn new(url: &str, token: &str) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let client = connect(&url, Some(token));
        Self { url, client, made: Arc::default() }
    }

    /// Opens a store (a new unnamed one without a name); it is removed after the check.
    pub async fn open(&self, name: Option<&str>) -> ApifyClientResult<KeyValueStore> {
        let store = self.client.key_value_stores().get_or_create(name).await?;
        self.made.lock().expect("no check panics with the lock held").push(store.id.clone());
        Ok(store)
    }

    /// Returns the client of a new unnamed store.
    pub async fn store(&self) -> ApifyClientResult<KeyValueStoreClient> {
        Ok(self.client.key_value_store(self.open(None).await?.id))
    }

    /// Returns a new unnamed store that holds these keys, each with itself as text.
    pub async fn filled(&self, keys: &[String]) -> ApifyClientResult<KeyValueStoreClient> {
        let store = self.store().await?;
        in_parallel(keys.iter().cloned(), |key| {
            let store = store.clone();
            async move { store.set_record_raw(&key, key.clone().into_bytes(), "text/plain").await }
        })
        .await?;
        Ok(store)
    }

    pub async fn clear(&self) -> ApifyClientResult<()> {
        let mut made = std::mem::take(&mut *self.made.lock().expect("no check panics with the lock held"));
        // Opened twice by name is removed once.
        made.sort();
        made.dedup();
        in_parallel(made.into_iter(), |id| {
            let store = self.client.key_value_store(id);
            async move { store.delete().await }
        })
        .await?;
        Ok(())
    }
}

/// Returns a client that never retries: that would hide an answer that fails the first time.
pub fn connect(url: &str, token: Option<&str>) -> ApifyClient {
    let builder = ApifyClient::builder().base_url(url).public_base_url(url).max_retries(0);
    match token {
        Some(token) => builder.token(token).build(),
        None => builder.build(),
    }
}

/// Returns an unused store name.
pub fn name(hint: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    format!("rs-{hint}-{:x}", now.as_nanos())
}

/// Runs `step` for every item, a few at a time.
pub async fn in_parallel<T, O, F>(items: impl Iterator<Item = T>, step: impl Fn(T) -> F) -> ApifyClientResult<Vec<O>>
where
    F: Future<Output = ApifyClientResult<O>> + Send + 'static,
    O: Send + 'static,
{
    let mut running = tokio::task::JoinSet::new();
    let mut results = Vec::new();
    for item in items {
        if running.len() == CONCURRENCY {
            results.push(running.join_next().await.expect("one is running").expect("no step panics")?);
        }
        running.spawn(step(item));
    }
    while let Some(result) = running.join_next().await {
        results.push(result.expect("no step panics")?);
    }
    Ok(results)
}

/// Asserts that the client returns the API's error of this status and type.
#[track_caller]
pub fn refused<T: Debug>(result: ApifyClientResult<T>, status: u16, kind: &str) {
    let error = result.expect_err("the call had to be refused");
    let answer = error.as_api_error().unwrap_or_else(|| panic!("expected an answer of the API: {error:?}"));
    assert_eq!((answer.status_code, answer.error_type.as_deref()), (status, Some(kind)), "{}", answer.message);
    assert!(!answer.message.is_empty(), "an error says what is wrong");
}

/// Bytes without a pattern, the same in every run.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}
