//! Job that aborts abandoned multipart uploads.

use std::time::Duration;

use async_trait::async_trait;

use crate::kv::{self, AbandonedUploads};

use super::job::{Job, Report};

/// Interval between runs: a list costs one call per thousand uploads, and there are hardly any.
const INTERVAL: Duration = Duration::from_hours(1);

/// Aborts abandoned uploads.
#[derive(Debug)]
pub struct UploadAbortion {
    uploads: AbandonedUploads,
}

impl UploadAbortion {
    /// Returns a job over these uploads.
    pub fn new(uploads: AbandonedUploads) -> Self {
        Self { uploads }
    }
}

#[async_trait]
impl Job for UploadAbortion {
    fn name(&self) -> &'static str {
        "abandoned uploads"
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    async fn run_once(&self) -> kv::Result<Report> {
        let aborted = self.uploads.abort().await?;
        if aborted > 0 {
            tracing::info!(uploads = aborted, "uploads that were abandoned were aborted");
        }
        Ok(Report { worked_on: aborted })
    }
}
