//! Webhook configurations as decisions use them: who is asked, about what, and under which conditions.

use std::sync::OnceLock;

use serde_json::Value;

use crate::policies::{Expression, conditions};
use crate::tree::{int_at, list_at, str_at};

/// The versions of `AdmissionReview`, the preferred one first.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
/// Seconds that a webhook may take where it does not say.
const TIMEOUT: i64 = 10;

/// The webhooks of one configuration.
#[derive(Debug)]
pub struct Webhooks {
    /// The configuration's name.
    pub name: String,
    /// In the order in which they are asked.
    pub all: Vec<Webhook>,
}

/// One webhook.
#[derive(Debug)]
pub struct Webhook {
    /// Its name, which tells it from the others of its configuration.
    pub name: String,
    /// What was written.
    pub spec: Value,
    conditions: OnceLock<Vec<Expression>>,
}

impl Webhooks {
    /// Reads a configuration.
    pub fn read(object: &Value) -> Self {
        let webhook = |spec: &Value| Webhook {
            name: str_at(spec, "/name").to_owned(),
            spec: spec.clone(),
            conditions: OnceLock::new(),
        };
        let all = list_at(object, "/webhooks").iter().map(webhook).collect();
        Webhooks { name: str_at(object, "/metadata/name").to_owned(), all }
    }
}

impl Webhook {
    /// Whether a call that fails refuses the request.
    pub fn fails_closed(&self) -> bool {
        str_at(&self.spec, "/failurePolicy") != "Ignore"
    }

    /// Whether it wants to know of changes that were made after it was asked.
    pub fn is_asked_again(&self) -> bool {
        str_at(&self.spec, "/reinvocationPolicy") == "IfNeeded"
    }

    /// Whether it may be asked about what is not going to happen.
    pub fn takes_dry_runs(&self) -> bool {
        ["None", "NoneOnDryRun"].contains(&str_at(&self.spec, "/sideEffects"))
    }

    /// Seconds that it may take.
    pub fn seconds(&self) -> u64 {
        int_at(&self.spec, "/timeoutSeconds").unwrap_or(TIMEOUT).unsigned_abs()
    }

    /// The version of reviews that it understands; `None` where the server knows none of them.
    pub fn review_version(&self) -> Option<&'static str> {
        let known = list_at(&self.spec, "/admissionReviewVersions").iter().filter_map(Value::as_str);
        known.filter_map(|version| REVIEWS.into_iter().find(|known| *known == version)).next()
    }

    /// Its match conditions.
    pub fn conditions(&self) -> &[Expression] {
        self.conditions.get_or_init(|| conditions(&self.spec, false))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_webhook_speaks_the_first_version_that_is_known() {
        let read = |versions: Value| {
            Webhooks::read(&json!({"metadata": {"name": "c"}, "webhooks": [{"name": "w.g.io",
                "admissionReviewVersions": versions}]}))
        };
        assert_eq!(read(json!(["v2", "v1beta1", "v1"])).all[0].review_version(), Some("v1beta1"));
        assert_eq!(read(json!(["v2"])).all[0].review_version(), None);
        let plain = &read(json!(["v1"])).all[0];
        assert!(plain.fails_closed() && !plain.takes_dry_runs() && plain.seconds() == 10);
    }
}
