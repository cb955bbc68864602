//! Approves what nodes ask for themselves: certificates by which they are clients of the API.

use std::sync::Arc;

use gantry_kinds::tree::str_at;
use gantry_view::{Change, Outcome, Turn, View};
use serde_json::{Value, json};

use super::{NODE_CLIENT, Signatory, all_requests, changed_requests, check_node_client, text, usages};
use crate::{Controller, QueueKey, conditions, write};

/// The controller that approves.
pub(crate) struct Approver {
    signatory: Arc<dyn Signatory>,
}

impl Approver {
    pub(crate) fn new(signatory: Arc<dyn Signatory>) -> Self {
        Approver { signatory }
    }

    /// Why a request is approved; `None` where it is left to others.
    fn approval(&self, request: &Value, view: &View) -> Option<&'static str> {
        let asked = self.signatory.read(&text(request)?).ok()?;
        check_node_client(&asked, &usages(request)).ok()?;
        let may = |subresource: &str| self.signatory.may(view, &request["spec"], subresource);
        if asked.common_name == str_at(request, "/spec/username") && may("selfnodeclient") {
            return Some("Auto approving self kubelet client certificate after SubjectAccessReview.");
        }
        may("nodeclient").then_some("Auto approving kubelet client certificate after SubjectAccessReview.")
    }
}

impl Controller for Approver {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        all_requests(view)
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        changed_requests(change, out);
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(object) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let request = object.value();
        let decided = ["Approved", "Denied"].iter().any(|kind| conditions::find(&request, kind).is_some());
        if decided || super::is_issued(&request) || str_at(&request, "/spec/signerName") != NODE_CLIENT {
            return outcome;
        }
        let Some(message) = self.approval(&request, turn.view) else { return outcome };
        let conditions = conditions::with(&request, "Approved", "AutoApproved", message);
        outcome.push(write::patch(object, "approval", json!({"status": {"conditions": conditions}})));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::CERTIFICATE_SIGNING_REQUEST;

    use super::super::tests::{Paper, request};
    use super::*;
    use crate::harness::World;

    fn approved(rights: &[&'static str], user: &str) -> Option<String> {
        let mut world = World::new();
        let asked = json!({"cn": "system:node:a", "o": ["system:nodes"]});
        let usages = json!(["client auth", "digital signature"]);
        let key = world.put(&CERTIFICATE_SIGNING_REQUEST, request("r", NODE_CLIENT, user, usages, asked));
        let mut approver = Approver::new(Arc::new(Paper { rights: rights.to_vec() }));
        world.settle(&mut [&mut approver]);
        let found = world.view.at(&key).unwrap().value();
        conditions::find(&found, "Approved").map(|condition| str_at(condition, "/message").to_owned())
    }

    #[test]
    fn nodes_are_approved_by_their_rights() {
        let own = "Auto approving self kubelet client certificate after SubjectAccessReview.";
        let new = "Auto approving kubelet client certificate after SubjectAccessReview.";
        assert_eq!(approved(&["selfnodeclient"], "system:node:a").as_deref(), Some(own));
        assert_eq!(approved(&["selfnodeclient"], "system:node:b"), None);
        assert_eq!(approved(&["nodeclient"], "system:bootstrap:x").as_deref(), Some(new));
        assert_eq!(approved(&[], "system:node:a"), None);
    }
}
