//! The audit log: who asked for what, when, and what came of it.
//!
//! Invariants: a request is written down by what the policy said of it when its sender became known; a log that cannot be
//! written stops nothing, unless it was asked to; nothing is done for requests that are not written down.

mod answer;
mod event;
mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gantry_policy::audit::{Asked as AuditAsked, AuditPolicy, Level, Stage, Wanted};
use gantry_policy::{User, Verdict};
use http::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use answer::watched;
pub use log::{AuditLog, AuditMode};

use crate::Refusal;
use crate::metrics::text;
use crate::route::Asked;
use gantry_kinds::Status;
use log::Log;

/// What is written down, and where.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// What is written down.
    pub policy: AuditPolicy,
    /// Where.
    pub log: AuditLog,
}

/// What is written down, and by whom.
pub(crate) struct Auditor {
    policy: AuditPolicy,
    log: Log,
    events: AtomicU64,
    by_level: [AtomicU64; 4],
    refused: AtomicU64,
}

impl Auditor {
    /// Opens the log.
    pub(crate) fn open(config: AuditConfig) -> std::io::Result<Self> {
        let log = Log::open(&config.log)?;
        let zero = AtomicU64::default;
        Ok(Auditor {
            policy: config.policy,
            log,
            events: zero(),
            by_level: [zero(), zero(), zero(), zero()],
            refused: zero(),
        })
    }

    /// The metrics of the log, in upstream's names.
    pub(crate) fn metrics(&self, out: &mut String) {
        let total = |of: &AtomicU64| of.load(Ordering::Relaxed);
        text::family(out, "apiserver_audit_event_total", "counter", "Audit events that were written or lost.");
        text::sample(out, "apiserver_audit_event_total", "", total(&self.events));
        text::family(out, "apiserver_audit_error_total", "counter", "Audit events that were lost.");
        text::sample(out, "apiserver_audit_error_total", "plugin=\"log\"", total(&self.log.lost));
        text::family(out, "apiserver_audit_level_total", "counter", "Requests by the level of their audit events.");
        for (level, count) in ["None", "Metadata", "Request", "RequestResponse"].iter().zip(&self.by_level) {
            text::sample(out, "apiserver_audit_level_total", &format!("level=\"{level}\""), total(count));
        }
        text::family(out, "apiserver_audit_requests_rejected_total", "counter", "Requests refused for want of a log.");
        text::sample(out, "apiserver_audit_requests_rejected_total", "", total(&self.refused));
    }
}

/// What is known of a request before its sender is.
#[derive(Default)]
struct Head {
    audit_id: String,
    uri: String,
    method: Method,
    user_agent: String,
    sources: Vec<String>,
    received: Timestamp,
}

/// What became known of a request.
#[derive(Default)]
struct Facts {
    wanted: Wanted,
    user: User,
    acting_as: Option<User>,
    decision: Option<(bool, String)>,
    request_object: Option<Value>,
    response_object: Option<Value>,
    asked: Asked,
}

/// One request on its way, for the log.
pub(crate) struct Trail {
    auditor: Option<Arc<Auditor>>,
    head: Head,
    facts: Mutex<Facts>,
}

impl Trail {
    /// Begins to follow a request.
    pub(crate) fn begin(
        auditor: Option<&Arc<Auditor>>,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
        remote: Option<std::net::IpAddr>,
        (audit_id, asked): (&str, &Asked),
    ) -> Arc<Self> {
        let Some(auditor) = auditor else {
            return Arc::new(Trail { auditor: None, head: Head::default(), facts: Mutex::default() });
        };
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let head = Head {
            audit_id: audit_id.to_owned(),
            uri: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            method: method.clone(),
            user_agent: text("user-agent"),
            sources: event::sources(&text("x-forwarded-for"), &text("x-real-ip"), remote),
            received: Timestamp::now(),
        };
        let facts = Mutex::new(Facts { asked: asked.clone(), ..Facts::default() });
        Arc::new(Trail { auditor: Some(auditor.clone()), head, facts })
    }

    /// The sender is known: the policy says what is written down, and that the request came may be the first of it.
    pub(crate) async fn authenticated(&self, user: &User) -> Result<(), Refusal> {
        let Some(auditor) = &self.auditor else { return Ok(()) };
        {
            let mut facts = self.facts.lock();
            let wanted = auditor.policy.of(&asked_of(&facts.asked, user));
            auditor.by_level[wanted.level as usize].fetch_add(1, Ordering::Relaxed);
            (facts.wanted, facts.user) = (wanted, user.clone());
        }
        if self.tell(Stage::RequestReceived, None).await || auditor.log.mode() != AuditMode::BlockingStrict {
            return Ok(());
        }
        auditor.refused.fetch_add(1, Ordering::Relaxed);
        Err(Box::new(Status::internal("the audit log cannot be written")))
    }

    /// Nobody knows who it was.
    pub(crate) fn refused_sender(&self) {
        let Some(auditor) = &self.auditor else { return };
        let mut facts = self.facts.lock();
        let nobody = User::default();
        facts.wanted = auditor.policy.of(&asked_of(&facts.asked, &nobody));
    }

    /// The sender acts as somebody else.
    pub(crate) fn acting_as(&self, user: &User) {
        if self.auditor.is_some() {
            let mut facts = self.facts.lock();
            if facts.user != *user {
                facts.acting_as = Some(user.clone());
            }
        }
    }

    /// What authorization said.
    pub(crate) fn authorized(&self, verdict: &Verdict) {
        if self.auditor.is_some() {
            self.facts.lock().decision = Some((verdict.allowed, verdict.reason.clone()));
        }
    }

    /// Whether the body of the request is wanted.
    pub(crate) fn wants_request(&self) -> bool {
        self.auditor.is_some() && self.facts.lock().wanted.level >= Level::Request
    }

    /// The body of the request.
    pub(crate) fn request_object(&self, object: Value) {
        self.facts.lock().request_object = Some(object);
    }

    /// Whether the body of the answer is wanted.
    pub(crate) fn wants_response(&self) -> bool {
        self.auditor.is_some() && self.facts.lock().wanted.level >= Level::RequestResponse
    }

    /// The body of the answer.
    pub(crate) fn response_object(&self, object: Value) {
        let mut facts = self.facts.lock();
        if facts.response_object.is_none() {
            facts.response_object = Some(object);
        }
    }

    /// Whether anything may be written down at that stage.
    fn tells(&self, stage: Stage) -> bool {
        let facts = self.facts.lock();
        self.auditor.is_some() && facts.wanted.level > Level::None && !facts.wanted.omit_stages.contains(&stage)
    }

    /// Writes down a stage; false when it is lost.
    async fn tell(&self, stage: Stage, status: Option<Value>) -> bool {
        match (&self.auditor, self.tells(stage)) {
            (Some(auditor), true) => {
                let line = self.line(stage, status);
                auditor.events.fetch_add(1, Ordering::Relaxed);
                auditor.log.add(line).await
            }
            _ => true,
        }
    }

    /// Writes down a stage where nobody can wait for it.
    fn post(&self, stage: Stage, status: Option<Value>) {
        if let (Some(auditor), true) = (&self.auditor, self.tells(stage)) {
            let line = self.line(stage, status);
            auditor.events.fetch_add(1, Ordering::Relaxed);
            auditor.log.post(line, None);
        }
    }

    fn line(&self, stage: Stage, status: Option<Value>) -> String {
        let facts = self.facts.lock();
        format!("{}\n", event::of(&self.head, &facts, stage, status))
    }
}

/// The request as rules see it.
fn asked_of<'a>(asked: &'a Asked, user: &'a User) -> AuditAsked<'a> {
    AuditAsked {
        user,
        verb: asked.verb,
        path: (!asked.resource_request).then_some(asked.path.as_str()),
        group: &asked.group,
        resource: &asked.resource,
        subresource: &asked.subresource,
        namespace: &asked.namespace,
        name: &asked.name,
    }
}
