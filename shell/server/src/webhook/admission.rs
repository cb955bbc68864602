//! Admission webhooks: whether a request may go on, and what becomes of its object.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use gantry_registry::{AdmissionReview, Answer};
use serde_json::Value;

use super::Webhooks;
use crate::app::fresh_id;

impl Webhooks {
    /// What each of them says, asked all at once.
    pub(super) async fn admit(&self, reviews: &[AdmissionReview]) -> Answer {
        join_all(reviews.iter().map(|review| self.review(review))).await
    }

    async fn review(&self, review: &AdmissionReview) -> Result<Value, String> {
        let wait = Duration::from_secs(review.seconds);
        let late = || {
            Err(format!("failed to call webhook: {}", self.too_late(&review.client, wait, "context deadline exceeded")))
        };
        tokio::time::timeout(wait, self.consult(review, wait)).await.unwrap_or_else(|_| late())
    }

    async fn consult(&self, review: &AdmissionReview, wait: Duration) -> Result<Value, String> {
        let failed = |why: String| format!("failed to call webhook: {why}");
        let Some(cluster) = self.cluster.upgrade() else { return Err(failed("the server is stopping".to_owned())) };
        let name = format!("{} {}", review.configuration, review.webhook);
        let _place = self.enter(&name).await.map_err(failed)?;
        let uid = fresh_id(&cluster);
        let body = serde_json::to_vec(&review.body(&uid)).map_err(|error| failed(error.to_string()))?;
        let answer = self.post(&cluster, &review.client, wait, Bytes::from(body)).await.map_err(failed)?;
        review.accept(&uid, &answer)
    }
}
