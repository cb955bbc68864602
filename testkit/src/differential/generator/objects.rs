//! Writes of one object: made, changed, patched, applied, deleted, and what stands below it.

use serde_json::{Value, json};

use super::{Place, Seeded, mutation, reads};
use crate::differential::Request;

/// The type of what is applied.
const APPLY: &str = "application/apply-patch+yaml";

impl Place<'_> {
    pub(super) fn create(&self, seeded: &mut Seeded) -> Request {
        let queries = ["", "&fieldValidation=Warn", "&fieldValidation=Strict", "&fieldValidation=Ignore"];
        let query = seeded.pick(&queries);
        let body = mutation::mutated(&self.sample.object, seeded);
        Request::with("POST", format!("{}?dryRun=All{query}", self.collection), "application/json", body)
    }

    pub(super) fn update(&self, seeded: &mut Seeded) -> Vec<Request> {
        let mut body: Value = self.sample.object.clone();
        match seeded.below(5) {
            0 if !self.sample.driven => body["metadata"]["resourceVersion"] = json!("$RV"),
            1 => body["metadata"]["resourceVersion"] = json!("1"),
            2 => body["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000"),
            3 => body["metadata"]["labels"] = json!({"changed": "yes"}),
            _ => {}
        }
        let body = mutation::mutated(&body, seeded);
        let query = *seeded.pick(&["", "", "?dryRun=All", "?fieldValidation=Strict"]);
        let put = Request::with("PUT", format!("{}{query}", self.one), "application/json", body);
        vec![put, Request::bare("GET", self.one)]
    }

    pub(super) fn patch(&self, seeded: &mut Seeded) -> Vec<Request> {
        let (content, body) = mutation::patch(&self.sample.object, seeded);
        let queries = match content {
            "application/apply-patch+yaml" => &["?fieldManager=me", "?fieldManager=me&force=true", "", "?force=true"],
            _ => &["", "?fieldManager=me", "?dryRun=All", "?fieldValidation=Strict"],
        };
        let patch = Request::with("PATCH", format!("{}{}", self.one, seeded.pick(queries)), content, body);
        vec![patch, Request::bare("GET", self.one)]
    }

    pub(super) fn delete(&self, seeded: &mut Seeded) -> Vec<Request> {
        let options = [
            json!({}),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}),
            json!({"propagationPolicy": "Orphan"}),
            json!({"propagationPolicy": "Other"}),
            json!({"orphanDependents": true, "propagationPolicy": "Orphan"}),
            json!({"preconditions": {"uid": "wrong"}}),
            json!({"preconditions": {"uid": "$UID"}}),
            json!({"preconditions": {"resourceVersion": "1"}}),
            json!({"gracePeriodSeconds": -1}),
            json!({"gracePeriodSeconds": "x"}),
            json!({"dryRun": ["All"]}),
            json!({"dryRun": ["Some"]}),
            json!({"unknown": 1}),
            json!({"kind": "Other", "apiVersion": "v1"}),
            json!([]),
        ];
        let query = *seeded.pick(&["", "", "?dryRun=All", "?propagationPolicy=Other", "?gracePeriodSeconds=x"]);
        let delete = Request::json("DELETE", format!("{}{query}", self.one), seeded.pick(&options));
        if seeded.below(3) == 0 {
            let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
            return vec![Request::json("PATCH", self.one, &held).merging(), delete.clone(), delete];
        }
        // Who comes first, the collector or the reader, no two servers can share.
        let collected = ["Foreground", "Orphan", "orphan"].iter().any(|word| delete.body.contains(word));
        if self.sample.driven || collected {
            return vec![delete];
        }
        vec![delete, Request::bare("GET", self.one)]
    }

    /// Applied by two who may want different things, the second by force in the end.
    pub(super) fn applied(&self, seeded: &mut Seeded) -> Vec<Request> {
        let mut mine = self.sample.object.clone();
        mine["metadata"]["labels"]["owner"] = json!("me");
        let mut theirs = mine.clone();
        theirs["metadata"]["labels"]["owner"] = json!("other");
        if seeded.below(2) == 0 {
            theirs = mutation::changed(&theirs, seeded);
        }
        let mut less = self.sample.object.clone();
        less["metadata"]["labels"] = json!({});
        let apply = |query: &str, object: &Value| {
            Request::with("PATCH", format!("{}?{query}", self.one), APPLY, object.to_string())
        };
        let dry = if seeded.below(2) == 0 { "&dryRun=All" } else { "" };
        let mut asked = vec![apply("fieldManager=me", &mine), apply("fieldManager=other", &theirs)];
        asked.push(apply(&format!("fieldManager=other&force=true{dry}"), &theirs));
        asked.push(apply("fieldManager=me", &less));
        asked.push(Request::bare("GET", self.one));
        if seeded.below(2) == 0 { asked } else { self.made(asked) }
    }

    /// What is read and written below an object: its status, its scale, and what is not there.
    pub(super) fn below(&self, seeded: &mut Seeded) -> Vec<Request> {
        let served: Vec<&str> = ["status", "scale"]
            .into_iter()
            .filter(|name| self.sample.subresources.iter().any(|served| served == name))
            .collect();
        let name = if served.is_empty() { "status" } else { *seeded.pick(&served) };
        let place = format!("{}/{name}", self.one);
        let object = if name == "scale" { self.scale(seeded) } else { self.sample.object.clone() };
        let body = mutation::mutated(&object, seeded);
        let dry = if name == "scale" { "?dryRun=All" } else { "" };
        vec![match seeded.below(4) {
            0 => Request::bare("GET", place).accepting(seeded.pick::<&str>(&reads::ACCEPTS)),
            1 => Request::with("PUT", format!("{place}{dry}"), "application/json", body),
            2 => Request::with("PATCH", format!("{place}{dry}"), "application/merge-patch+json", body),
            _ => {
                let (content, body) = mutation::patch(&object, seeded);
                Request::with("PATCH", format!("{place}?fieldManager=me&dryRun=All"), content, body)
            }
        }]
    }

    fn scale(&self, seeded: &mut Seeded) -> Value {
        let metadata = json!({"name": self.name, "namespace": self.namespace});
        let replicas = *seeded.pick(&[0, 1, 2, -1]);
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}})
    }
}
