//! Several objects at once: pages of a list, and collections deleted.

use serde_json::json;

use super::{Case, Place, Seeded, reads};
use crate::differential::Request;

impl Place<'_> {
    /// Three objects, and their list in pages or their collection deleted.
    pub(super) fn several(&self, number: u64, paged: bool, seeded: &mut Seeded) -> Case {
        let names: Vec<String> = ["", "-b", "-c"].iter().map(|end| format!("{}{end}", self.name)).collect();
        let mut requests = Vec::new();
        for name in &names {
            let mut object = self.kind.named(name, self.namespace).object;
            object["metadata"]["labels"]["page"] = json!(self.name);
            requests.push(Request::json("POST", self.collection, &object));
        }
        requests.extend(if paged { self.paged(seeded) } else { self.collection_deleted(seeded) });
        let cleanup = names.iter().flat_map(|name| self.gone(name)).collect();
        Case { number, driven: self.sample.driven, requests, cleanup }
    }

    fn paged(&self, seeded: &mut Seeded) -> Vec<Request> {
        let list = format!("{}?labelSelector=page%3D{}", self.collection, self.name);
        let accept = *seeded.pick(&reads::ACCEPTS);
        let after = *seeded.pick(&["", "&resourceVersion=1", "&resourceVersionMatch=Exact", "&limit=0"]);
        let first = Request::bare("GET", format!("{list}&limit={}", 1 + seeded.below(3)));
        let second = Request::bare("GET", format!("{list}&limit=1&continue=$NEXT"));
        let last = Request::bare("GET", format!("{list}&continue=$NEXT{after}"));
        vec![first, second.accepting(accept), last]
    }

    fn collection_deleted(&self, seeded: &mut Seeded) -> Vec<Request> {
        let bodies = [
            json!({}),
            json!({"propagationPolicy": "Background"}),
            json!({"preconditions": {"uid": "wrong"}}),
            json!({"gracePeriodSeconds": -1}),
            json!({"dryRun": ["All"]}),
            json!({"unknown": 1}),
            json!([]),
        ];
        let queries = ["", "&dryRun=All", "&limit=1", "&propagationPolicy=Other", "&resourceVersion=x"];
        let place = format!("{}?labelSelector=page%3D{}{}", self.collection, self.name, seeded.pick(&queries));
        let delete = Request::json("DELETE", place, seeded.pick(&bodies));
        if self.sample.driven {
            return vec![delete];
        }
        vec![delete, Request::bare("GET", self.one)]
    }
}
