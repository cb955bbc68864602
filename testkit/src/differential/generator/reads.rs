//! Reads of one object and of collections, and what no kind allows.

use super::{Place, Seeded};
use crate::differential::Request;

/// What differs between callers of the same case.
pub(super) const ACCEPTS: [&str; 7] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/yaml",
    "text/html",
    "*/*",
];

impl Place<'_> {
    pub(super) fn read(&self, seeded: &mut Seeded) -> Vec<Request> {
        let accept = *seeded.pick(&ACCEPTS);
        if seeded.below(3) == 0 {
            let query = *seeded.pick(&["", "?resourceVersion=x", "?pretty=true"]);
            return vec![Request::bare("GET", format!("{}{query}", self.one)).accepting(accept)];
        }
        let name = super::name_of(&self.sample.object);
        let mut query = format!("fieldSelector=metadata.name={name}");
        let options = [
            "limit=1",
            "limit=-1",
            "limit=x",
            "resourceVersion=$RV",
            "resourceVersion=x",
            "resourceVersion=99999999",
            "resourceVersionMatch=Exact",
            "resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch=Other",
            "continue=x",
            "labelSelector=a%3Db",
            "labelSelector=a%20in%20(b,c)",
            "labelSelector=!a",
            "labelSelector=a%3D%3D%3Db",
            "labelSelector=-",
            "sendInitialEvents=true",
            "allowWatchBookmarks=true",
            "timeoutSeconds=1",
            "timeoutSeconds=x",
            "includeObject=None",
            "fieldSelector=spec.none%3D1",
            "fieldSelector=metadata.name!%3Da",
            "unknown=1",
        ];
        for _ in 0..seeded.below(4) {
            query += &format!("&{}", seeded.pick(&options));
        }
        if !self.sample.driven && seeded.below(4) == 0 {
            // The first value counts, so that the watch ends whatever follows.
            let watch = *seeded.pick(&["watch=true", "watch=1", "watch=x"]);
            query = format!("{watch}&timeoutSeconds=1&{query}");
        }
        vec![Request::bare("GET", format!("{}?{query}", self.collection)).accepting(accept)]
    }

    pub(super) fn odd(&self, seeded: &mut Seeded) -> Vec<Request> {
        let (one, all) = (self.one, self.collection);
        let body = self.sample.object.to_string();
        vec![match seeded.below(13) {
            0 => Request::with("POST", all, "text/plain", body),
            1 => Request::with("PUT", one, "application/yaml", body),
            2 => Request::with("PATCH", one, "application/json", body),
            3 => Request::json("POST", one, &self.sample.object),
            4 => Request::json("PUT", all, &self.sample.object),
            5 => Request::bare("GET", format!("{one}/nothing")),
            6 => Request::bare("GET", format!("{one}s")),
            7 => Request::bare("GET", format!("{one}/status")),
            8 => Request::json("POST", all, &self.sample.object),
            9 => Request::json("POST", format!("{all}?dryRun=Some"), &self.sample.object),
            10 => Request::json("POST", format!("{all}?fieldValidation=Some"), &self.sample.object),
            11 => Request::bare("GET", format!("{one}?watch=true&timeoutSeconds=1")),
            _ => Request::bare("GET", one).accepting(seeded.pick::<&str>(&ACCEPTS)),
        }]
    }
}
