//! One request with everything that its decision may look at.

use std::sync::Arc;

use gantry_kinds::{KindRef, Status};
use gantry_policy::{Attributes, Verdict};
use gantry_view::{Object, ObjectKey, View};
use jiff::Timestamp;

use crate::admission::Plugin;
use crate::ask::{Answer, Ask};
use crate::context::Context;
use crate::custom;
use crate::draw::Draw;
use crate::request::{Request, Target, User};

/// Why a decision ends before its end.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The answer is no.
    Status(Box<Status>),
    /// Somebody outside must be asked first.
    Ask(Box<Ask>),
}

impl Refusal {
    /// The same, with what was noticed before.
    pub(crate) fn warning(mut self, warnings: &[String]) -> Self {
        if let Refusal::Status(status) = &mut self {
            status.warnings.extend_from_slice(warnings);
        }
        self
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Refusal::Status(Box::new(status))
    }
}

impl From<Box<Status>> for Refusal {
    fn from(status: Box<Status>) -> Self {
        Refusal::Status(status)
    }
}

/// The manager of fields where the client names none.
const NO_MANAGER: &str = "unknown";

/// The view, the request and the context.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) view: &'a View,
    pub(crate) request: &'a Request,
    pub(crate) context: &'a Context<'a>,
    /// Whether the object stays stored in the version that the request is about.
    pub(crate) keeps_version: bool,
}

impl<'a> Case<'a> {
    pub(crate) fn kind(&self) -> KindRef {
        self.request.target.kind
    }
    pub(crate) fn target(&self) -> &'a Target {
        &self.request.target
    }
    pub(crate) fn user(&self) -> &'a User {
        &self.request.user
    }
    pub(crate) fn dry_run(&self) -> bool {
        self.request.options.dry_run
    }
    /// The object that the request names.
    pub(crate) fn stored(&self) -> Option<&'a Arc<Object>> {
        self.view.get(self.kind().home(), &self.target().namespace, &self.target().name)
    }
    /// The object that the request names, or 404.
    pub(crate) fn existing(&self) -> Result<&'a Arc<Object>, Refusal> {
        self.stored().ok_or_else(|| Status::not_found(self.kind(), &self.target().name).into())
    }
    /// A stored object as the request's version sees it.
    pub(crate) fn value(&self, object: &Object) -> Result<serde_json::Value, Refusal> {
        custom::seen(self, object)
    }
    /// What somebody outside says; ends the decision when nobody has been asked yet.
    pub(crate) fn ask(&self, ask: Ask) -> Result<&'a Answer, Refusal> {
        self.context.answers.find(&ask).ok_or_else(|| Refusal::Ask(Box::new(ask)))
    }
    /// May this be done? Ends the decision when an authorizer outside must be asked first.
    pub(crate) fn authorize(&self, asked: &Attributes<'_>) -> Result<Verdict, Refusal> {
        let Context { authorizers, answers, .. } = self.context;
        let decided = authorizers.decide(self.view, asked, &|question| answers.verdict(question));
        decided.map_err(|question| Refusal::Ask(Box::new(Ask::Authorize(question))))
    }
    pub(crate) fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(self.kind().home(), &self.target().namespace, name)
    }
    /// Whether a part of admission acts.
    pub(crate) fn has(&self, plugin: Plugin) -> bool {
        self.context.settings.plugins.has(plugin)
    }
    /// The time in whole seconds, as objects carry it.
    pub(crate) fn now(&self) -> String {
        seconds(self.context.now)
    }
    pub(crate) fn draw(&self, purpose: &str) -> Draw {
        Draw::new(self.context.seed, purpose)
    }
    /// Who owns the fields that the request sets.
    pub(crate) fn manager(&self) -> &'a str {
        match self.request.options.field_manager.as_str() {
            "" => NO_MANAGER,
            manager => manager,
        }
    }
}

/// RFC 3339 in whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
