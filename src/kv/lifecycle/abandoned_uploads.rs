//! Multipart uploads that no gateway continues. Their parts take up space that no list of objects shows.
//!
//! An upload is aborted when it fails. The ones left were not aborted by any process: it was killed, or the object
//! store did not respond, or responded late. Lifecycle rules do the same after a week on object stores that support
//! them.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::ClockGuard,
    kv::{
        model::errors::{Error, Result},
        persist::object_keys,
    },
    storage::{self, Lifecycle, ObjectStore, UnfinishedUpload},
};

/// Time without a new part after which an upload counts as abandoned. A gateway aborts an upload that makes no
/// progress for minutes.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Maximum number of pages per run, in case the object store's continuation markers form a cycle.
const MAX_PAGES: usize = 1000;

/// Aborts abandoned multipart uploads below the root of the installation, and no others.
#[derive(Debug)]
pub struct AbandonedUploads {
    objects: Arc<dyn ObjectStore>,
    guard: Arc<ClockGuard>,
}

impl AbandonedUploads {
    /// Returns an instance for the uploads in `objects`; `guard` checks the clock that their times are compared with.
    pub fn new(objects: Arc<dyn ObjectStore>, guard: Arc<ClockGuard>) -> Self {
        Self { objects, guard }
    }

    /// Aborts every upload that began, and received its last part, more than a day ago. Returns the number aborted.
    /// Does nothing while the clock is not trusted, or if the object store cannot list uploads.
    pub async fn abort(&self) -> Result<usize> {
        match self.objects.lifecycle() {
            Some(lifecycle) => self.abort_in(lifecycle).await,
            None => Ok(0),
        }
    }

    async fn abort_in(&self, lifecycle: &dyn Lifecycle) -> Result<usize> {
        let (mut aborted, mut mark) = (0, None);
        for _ in 0..MAX_PAGES {
            let page = match lifecycle.unfinished_uploads(object_keys::root(), mark.as_ref()).await {
                Err(storage::Error::Unsupported(_)) => return Ok(aborted),
                page => page.map_err(Error::unavailable)?,
            };
            for upload in &page.uploads {
                aborted += usize::from(self.abort_if_abandoned(lifecycle, upload).await?);
            }
            if page.next.is_none() || page.next == mark {
                break;
            }
            mark = page.next;
        }
        Ok(aborted)
    }

    async fn abort_if_abandoned(&self, lifecycle: &dyn Lifecycle, upload: &UnfinishedUpload) -> Result<bool> {
        let Some(now) = self.guard.deletion_time() else { return Ok(false) };
        let before = now.minus(ABANDONED_AFTER);
        if upload.began_at >= before || !upload.key.starts_with(object_keys::root()) {
            return Ok(false);
        }
        // A large record from a slow client may take days; every part of it counts as progress.
        let last = lifecycle.last_part_at(upload).await.map_err(Error::unavailable)?;
        if last.is_some_and(|last| last >= before) || !self.guard.allows_deletion() {
            return Ok(false);
        }
        lifecycle.abort_upload(upload).await.map_err(Error::unavailable)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::{
        clock::{Clock, ManualClock, Timestamp},
        storage::{
            LifecycleError, Reconciled, Result as StorageResult, UploadMark, UploadPage, WantedRules,
            in_memory::InMemoryStore,
        },
    };

    const HOUR: Duration = Duration::from_hours(1);

    /// An object store that lists one upload per page. Each has a key, hours since it began, and hours since its last
    /// part, if any.
    #[derive(Debug)]
    struct Uploads(Mutex<BTreeMap<String, (u32, Option<u32>)>>, Arc<ManualClock>);

    impl Uploads {
        fn ago(&self, hours: u32) -> Timestamp {
            self.1.now().minus(HOUR * hours)
        }
    }

    #[async_trait]
    impl Lifecycle for Uploads {
        async fn reconcile(&self, _: &WantedRules) -> std::result::Result<Reconciled, LifecycleError> {
            Ok(Reconciled::Unsupported)
        }

        async fn unfinished_uploads(&self, _: &str, from: Option<&UploadMark>) -> StorageResult<UploadPage> {
            let all = self.0.lock().expect("no panic");
            let mut behind = all.iter().filter(|(key, _)| from.is_none_or(|from| **key > from.key));
            let Some((key, (began, _))) = behind.next() else { return Ok(UploadPage::default()) };
            let upload = UnfinishedUpload { key: key.clone(), id: "1".to_owned(), began_at: self.ago(*began) };
            let next = behind.next().map(|_| UploadMark { key: key.clone(), id: "1".to_owned() });
            Ok(UploadPage { uploads: vec![upload], next })
        }

        async fn last_part_at(&self, upload: &UnfinishedUpload) -> StorageResult<Option<Timestamp>> {
            let all = self.0.lock().expect("no panic");
            Ok(all.get(&upload.key).and_then(|(_, last)| *last).map(|hours| self.ago(hours)))
        }

        async fn abort_upload(&self, upload: &UnfinishedUpload) -> StorageResult<()> {
            self.0.lock().expect("no panic").remove(&upload.key);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_has_stood_still_for_a_day_is_aborted_and_nothing_else() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000_000_000)));
        let kept = [
            ("larder/permanent/begun", (1, None)),
            ("larder/permanent/slow", (90, Some(23))),
            ("of-others/a", (900, None)),
        ];
        let abandoned = [("larder/permanent/empty", (25, None)), ("larder/expiring/7/a", (90, Some(25)))];
        let all = kept.iter().chain(&abandoned).map(|(key, times)| ((*key).to_owned(), *times)).collect();
        let uploads = Uploads(Mutex::new(all), Arc::clone(&clock));
        let objects = Arc::new(InMemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let clock: Arc<dyn Clock> = clock;
        let guard = Arc::new(ClockGuard::new(Arc::clone(&clock), clock));
        let own = AbandonedUploads::new(objects, Arc::clone(&guard));
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), abandoned.len());
        let left: Vec<_> = uploads.0.lock().expect("no panic").keys().cloned().collect();
        assert_eq!(left, kept.map(|(key, _)| key));
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), 0);
        // Without a list of uploads there is nothing to do.
        assert_eq!(own.abort().await.expect("it can"), 0);
        uploads.0.lock().expect("no panic").insert("larder/permanent/old".to_owned(), (90, None));
        guard.suspend("the clock is wrong");
        assert_eq!(own.abort_in(&uploads).await.expect("it can"), 0);
    }
}
