//! Who answers the questions that decisions cannot answer by themselves, such as what a webhook says.

use async_trait::async_trait;
use gantry_registry::{Answer, Ask};

/// Answers what decisions ask. Every answer comes in bounded time: the decision waits for it, and its request with it.
#[async_trait]
pub trait Oracle: Send + Sync + 'static {
    /// The answer to one question.
    async fn answer(&self, ask: &Ask) -> Answer;
}
