//! How many events may be written, in all, in a namespace, by a user, and of one source about one object.
//!
//! Invariants: each limit keeps a bounded number of buckets, and forgets the one that was used longest ago.

use std::collections::BTreeMap;

use gantry_registry::EventWrite;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use crate::limits::EVENT_BUCKETS;

/// What a limit tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Server,
    Namespace,
    User,
    SourceAndObject,
}

/// A limit of the rate at which events are written.
#[derive(Clone, Debug, PartialEq)]
pub struct EventLimit {
    scope: Scope,
    per_second: f64,
    burst: f64,
    buckets: usize,
}

impl EventLimit {
    /// Reads a `Configuration` of `eventratelimit.admission.k8s.io/v1alpha1`. Errors name the field.
    pub fn parse(config: &Value) -> Result<Vec<EventLimit>, String> {
        let of = |field: &str| config[field].as_str().unwrap_or_default();
        if (of("apiVersion"), of("kind")) != ("eventratelimit.admission.k8s.io/v1alpha1", "Configuration") {
            let found = format!("{:?} of {:?}", of("kind"), of("apiVersion"));
            return Err(format!("expected a Configuration of eventratelimit.admission.k8s.io/v1alpha1, found {found}"));
        }
        let limits = config["limits"].as_array().filter(|limits| !limits.is_empty());
        let limits = limits.ok_or("limits: Invalid value: []: must not be empty")?;
        limits
            .iter()
            .enumerate()
            .map(|(at, limit)| Self::one(limit).map_err(|why| format!("limits[{at}].{why}")))
            .collect()
    }

    fn one(limit: &Value) -> Result<EventLimit, String> {
        let scope = match limit["type"].as_str().unwrap_or_default() {
            "Server" => Scope::Server,
            "Namespace" => Scope::Namespace,
            "User" => Scope::User,
            "SourceAndObject" => Scope::SourceAndObject,
            other => {
                let known = "\"Namespace\", \"Server\", \"SourceAndObject\", \"User\"";
                return Err(format!("type: Unsupported value: {other:?}: supported values: {known}"));
            }
        };
        let positive = |field: &str| match limit[field].as_i64() {
            Some(number) if number > 0 => Ok(number),
            _ => Err(format!("{field}: Invalid value: {}: must be positive", limit[field])),
        };
        let buckets = match &limit["cacheSize"] {
            Value::Null => EVENT_BUCKETS,
            size => match size.as_u64().and_then(|size| usize::try_from(size).ok()) {
                Some(0) => EVENT_BUCKETS,
                Some(size) => size.min(EVENT_BUCKETS),
                None => return Err(format!("cacheSize: Invalid value: {size}: must not be negative")),
            },
        };
        Ok(EventLimit { scope, per_second: positive("qps")? as f64, burst: positive("burst")? as f64, buckets })
    }

    fn key(&self, write: &EventWrite) -> String {
        match self.scope {
            Scope::Server => String::new(),
            Scope::Namespace => write.namespace.clone(),
            Scope::User => write.user.clone(),
            Scope::SourceAndObject => write.source_and_object.clone(),
        }
    }
}

struct Bucket {
    left: f64,
    at: Instant,
    /// When it was used last, as a number that only grows.
    used: u64,
}

#[derive(Default)]
struct Buckets {
    by_key: BTreeMap<String, Bucket>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
}

impl Buckets {
    /// Takes one out of the bucket of that key.
    fn take(&mut self, limit: &EventLimit, key: &str, now: Instant) -> bool {
        self.uses += 1;
        let fresh = Bucket { left: limit.burst, at: now, used: self.uses };
        let bucket = self.by_key.entry(key.to_owned()).or_insert(fresh);
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + since * limit.per_second).min(limit.burst);
        bucket.at = now;
        let taken = bucket.left >= 1.0;
        if taken {
            bucket.left -= 1.0;
        }
        self.by_use.remove(&bucket.used);
        bucket.used = self.uses;
        self.by_use.insert(self.uses, key.to_owned());
        while self.by_key.len() > limit.buckets {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.by_key.remove(&oldest);
        }
        taken
    }
}

/// All limits and how far they are used up.
pub(crate) struct EventRates(Vec<(EventLimit, Mutex<Buckets>)>);

impl EventRates {
    pub(crate) fn new(limits: Vec<EventLimit>) -> Self {
        EventRates(limits.into_iter().map(|limit| (limit, Mutex::default())).collect())
    }

    /// Counts a write; an error is the limit that it would break.
    pub(crate) fn admit(&self, write: &EventWrite) -> Result<Value, String> {
        let now = Instant::now();
        for (limit, buckets) in &self.0 {
            let key = limit.key(write);
            if !buckets.lock().take(limit, &key, now) {
                return Err(format!("limit reached on type {:?} for key {key}", limit.scope));
            }
        }
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn limits(limits: Value) -> Result<Vec<EventLimit>, String> {
        let kind = ("eventratelimit.admission.k8s.io/v1alpha1", "Configuration");
        EventLimit::parse(&json!({"apiVersion": kind.0, "kind": kind.1, "limits": limits}))
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_for_a_key_and_fills_again() {
        let rates =
            EventRates::new(limits(json!([{"type": "Namespace", "qps": 2, "burst": 3, "cacheSize": 2}])).unwrap());
        let write = |namespace: &str| {
            let namespace = namespace.to_owned();
            rates.admit(&EventWrite { user: "u".to_owned(), namespace, source_and_object: String::new() }).is_ok()
        };
        assert_eq!((0..5).filter(|_| write("a")).count(), 3);
        assert!(write("b"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..5).filter(|_| write("a")).count(), 2);
        // A third key takes the place of the one that was used longest ago.
        assert!(write("c") && write("b"));
        assert_eq!(rates.0[0].1.lock().by_key.len(), 2);
        let refused =
            rates.admit(&EventWrite { user: "u".into(), namespace: "c".into(), source_and_object: "".into() });
        assert!(refused.is_ok());
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(limits(json!([])).unwrap_err(), "limits: Invalid value: []: must not be empty");
        let wrong = limits(json!([{"type": "Server", "qps": 0, "burst": 1}])).unwrap_err();
        assert_eq!(wrong, "limits[0].qps: Invalid value: 0: must be positive");
        assert!(
            limits(json!([{"type": "Pod", "qps": 1, "burst": 1}])).unwrap_err().starts_with("limits[0].type: Unsupp")
        );
        assert!(EventLimit::parse(&json!({"kind": "Pod"})).is_err());
    }
}
