//! A little world: a view to which decisions are applied as the store would.

mod access;
mod conversion;
mod custom;
mod delete;
mod limits;
mod nodes;
mod objects;
mod plugins;
mod pods;
mod policies;
mod quotas;
mod services;
mod start;
mod volumes;
mod webhooks;

use std::sync::Arc;

use bytes::Bytes;
use gantry_kinds::{KindRef, NAMESPACE, SERVICE_ACCOUNT, Status};
use gantry_policy::{Attributes, Chain, Question};
use gantry_view::{Object, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::*;

/// A view, the time and the seed of the next request.
pub(crate) struct World {
    pub(crate) view: View,
    pub(crate) now: Timestamp,
    pub(crate) settings: Settings,
    /// Who converts custom objects.
    pub(crate) webhook: fn(&Conversion) -> Converted,
    /// Who reviews requests.
    pub(crate) reviewer: fn(&AdmissionReview) -> Result<Value, String>,
    /// Who limits the rate of events.
    pub(crate) rate: fn(&EventWrite) -> Result<(), String>,
    /// Who says who may do what.
    pub(crate) authorizers: Chain,
    /// Who answers for an authorizer outside.
    pub(crate) authorizer: fn(&Question) -> Result<Value, String>,
    seed: u64,
}

/// An answer: code and body, or the refusal.
pub(crate) type Answer = Result<(u16, Value), Box<Status>>;

impl World {
    /// Nothing.
    pub(crate) fn empty(now: Timestamp) -> Self {
        World {
            view: View::new(),
            now,
            settings: Settings::default(),
            webhook: absent,
            reviewer: nobody,
            rate: any,
            authorizers: Chain::default(),
            authorizer: |_| Err("nobody is asked".to_owned()),
            seed: 0,
        }
    }

    /// May this be done, as far as it is told without asking outside?
    pub(crate) fn allows(&self, asked: &Attributes<'_>) -> bool {
        self.authorizers.decide(&self.view, asked, &|_| None).is_ok_and(|verdict| verdict.allowed)
    }

    /// Nothing but a namespace `web` with its default account.
    pub(crate) fn new() -> Self {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let mut world = World::empty(now);
        world.create(&NAMESPACE, "", json!({"metadata": {"name": "web"}})).expect("a namespace");
        world.create(&SERVICE_ACCOUNT, "web", json!({"metadata": {"name": "default"}})).expect("an account");
        world
    }

    pub(crate) fn decide(&mut self, request: &Request) -> Decision {
        self.seed += 1;
        let mut answers = Answers::default();
        loop {
            let (now, seed, settings, authorizers) = (self.now, self.seed, &self.settings, &self.authorizers);
            let context = Context { now, seed, settings, authorizers, answers: &answers };
            match decide(&self.view, request, &context) {
                Decision::Ask(ask) => {
                    let answer = match &*ask {
                        Ask::Convert(conversion) => conversion.spread((self.webhook)(conversion)),
                        Ask::Admit(reviews) => reviews.iter().map(self.reviewer).collect(),
                        Ask::EventRate(write) => vec![(self.rate)(write).map(|()| Value::Null)],
                        Ask::Authorize(question) => vec![(self.authorizer)(question)],
                    };
                    answers.note(*ask, answer);
                }
                decision => return decision,
            }
        }
    }

    /// Commits as the store does: all keys must be where they are expected to be.
    pub(crate) fn commit(&mut self, writes: &[Write], guards: &[(gantry_view::ObjectKey, u64)]) -> Option<u64> {
        let at = |key| self.view.at(key).map_or(0, |object| object.header.revision);
        let kept = writes.iter().all(|w| at(&w.key) == w.expect) && guards.iter().all(|(key, rev)| at(key) == *rev);
        if !kept {
            return None;
        }
        let revision = self.view.revision() + 1;
        for Write { key, json, .. } in writes {
            let parse = |json: &Bytes| Object::parse(key.kind, json, revision).expect("an object");
            self.view.apply(key.clone(), json.as_ref().map(|json| Arc::new(parse(json))), revision);
        }
        Some(revision)
    }

    pub(crate) fn execute(&mut self, request: &Request) -> Answer {
        match self.decide(request) {
            Decision::Refuse(status) => Err(status),
            Decision::Ask(ask) => unreachable!("{ask:?} was answered"),
            Decision::Reply { reply, code, .. } => Ok((code, reply)),
            Decision::Commit { writes, guards, mut reply, code, .. } => {
                let revision = self.commit(&writes, &guards).expect("nobody else writes");
                if reply["kind"] != "Status" {
                    reply["metadata"]["resourceVersion"] = revision.to_string().into();
                }
                Ok((code, reply))
            }
        }
    }

    pub(crate) fn create(&mut self, kind: KindRef, namespace: &str, body: Value) -> Answer {
        self.execute(&request(kind, namespace, "", Operation::Create(body.into())))
    }
    pub(crate) fn update(&mut self, kind: KindRef, namespace: &str, body: Value) -> Answer {
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.execute(&request(kind, namespace, &name, Operation::Update(body.into())))
    }
    pub(crate) fn patch(&mut self, kind: KindRef, namespace: &str, name: &str, patch: Value) -> Answer {
        self.execute(&request(kind, namespace, name, Operation::Patch(PatchKind::Merge, patch.into())))
    }
    pub(crate) fn delete(&mut self, kind: KindRef, namespace: &str, name: &str, options: DeleteOptions) -> Answer {
        self.execute(&request(kind, namespace, name, Operation::Delete(options)))
    }
    pub(crate) fn get(&self, kind: KindRef, namespace: &str, name: &str) -> Option<Value> {
        self.view.get(kind, namespace, name).map(|object| object.value())
    }
}

fn absent(conversion: &Conversion) -> Converted {
    Err(conversion.failed("nobody is there"))
}

fn any(_: &EventWrite) -> Result<(), String> {
    Ok(())
}

fn nobody(_: &AdmissionReview) -> Result<Value, String> {
    Err("nobody is there".to_owned())
}

/// A request of an administrator.
pub(crate) fn request(kind: KindRef, namespace: &str, name: &str, operation: Operation) -> Request {
    Request {
        user: user("admin", &["system:masters", "system:authenticated"]),
        target: Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), subresource: String::new() },
        operation,
        options: Options { field_manager: "test".to_owned(), ..Options::default() },
    }
}

pub(crate) fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|g| (*g).to_owned()).collect(), ..User::default() }
}

/// The same request to a subresource.
pub(crate) fn sub(mut request: Request, subresource: &str) -> Request {
    request.target.subresource = subresource.to_owned();
    request
}

#[track_caller]
pub(crate) fn refused(answer: Answer, code: u16, message: &str) {
    let status = answer.expect_err("a refusal");
    assert_eq!((status.code, status.message.as_str()), (code, message));
}

/// A pod with one container.
pub(crate) fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}
