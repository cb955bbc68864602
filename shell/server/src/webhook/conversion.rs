//! Conversion webhooks: objects of a custom kind in another version.

use bytes::Bytes;
use futures_util::future::join_all;
use gantry_registry::{Conversion, Converted};

use super::Webhooks;
use crate::app::fresh_id;
use crate::limits::{CONVERSION_WAIT, CONVERSIONS_AT_A_TIME};

impl Webhooks {
    /// What the webhook makes of the objects.
    pub(crate) async fn convert(&self, conversion: &Conversion) -> Converted {
        let asked = tokio::time::timeout(CONVERSION_WAIT, self.ask(conversion)).await;
        let why = "net/http: request canceled (Client.Timeout exceeded while awaiting headers)";
        let config = &conversion.webhook["clientConfig"];
        let late = || Err(conversion.failed(&self.too_late(config, CONVERSION_WAIT, why)));
        asked.unwrap_or_else(|_| late())
    }

    /// The answers to several questions, in their order.
    pub(crate) async fn convert_all(&self, conversions: &[Conversion]) -> Vec<Converted> {
        let mut answers = Vec::with_capacity(conversions.len());
        for some in conversions.chunks(CONVERSIONS_AT_A_TIME) {
            answers.extend(join_all(some.iter().map(|one| self.convert(one))).await);
        }
        answers
    }

    async fn ask(&self, conversion: &Conversion) -> Converted {
        let Some(cluster) = self.cluster.upgrade() else { return Err("the server is stopping".to_owned()) };
        let failed = |why: String| conversion.failed(&why);
        let _place = self.enter(&conversion.definition).await.map_err(failed)?;
        let uid = fresh_id(&cluster);
        let body = serde_json::to_vec(&conversion.review(&uid)).map_err(|error| failed(error.to_string()))?;
        let config = &conversion.webhook["clientConfig"];
        let answer = self.post(&cluster, config, CONVERSION_WAIT, Bytes::from(body)).await.map_err(failed)?;
        conversion.accept(&uid, &answer)
    }
}
