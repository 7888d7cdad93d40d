//! Aborts multipart uploads that no gateway goes on with.

use std::time::Duration;

use async_trait::async_trait;

use crate::kv::{self, AbandonedUploads};

use super::job::{Job, Report};

/// Time between two looks: a list costs one call for a thousand uploads, and there are hardly any.
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
