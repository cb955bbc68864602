//! Cases from a seed: which kind, what is done to its object, and how.

mod mutation;

use serde_json::{Value, json};

use super::{Request, Sample};

/// What differs between callers of the same case.
const ACCEPTS: [&str; 7] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/yaml",
    "text/html",
    "*/*",
];

/// Numbers that follow from a seed alone.
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of one case of a run.
    pub fn new(seed: u64, case: u64) -> Self {
        let mut seeded = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ case.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        seeded.next();
        seeded
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
}

/// Requests that are made one after the other, in which the first answer that differs tells.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its number in the run.
    pub number: u64,
    /// The requests.
    pub requests: Vec<Request>,
}

impl Case {
    /// Case `number` of a run with `seed` over these kinds, in a namespace.
    pub fn generate(seed: u64, number: u64, samples: &[Sample], namespace: &str) -> Self {
        let mut seeded = Seeded::new(seed, number);
        let mut sample = seeded.pick(samples).clone();
        let name = format!("case-{seed}-{number}");
        sample.object["metadata"]["name"] = Value::from(name.clone());
        if sample.namespaced {
            sample.object["metadata"]["namespace"] = Value::from(namespace);
        }
        let text = sample.object.to_string().replace("$NAMESPACE", namespace);
        sample.object = serde_json::from_str(&text).unwrap_or_default();
        let collection = sample.collection(namespace);
        let one = format!("{collection}/{name}");
        let place = Place { sample: &sample, collection: &collection, one: &one };
        let requests = match seeded.below(10) {
            0..=3 => vec![place.create(&mut seeded)],
            4 => place.around(place.update(&mut seeded)),
            5 | 6 => place.around(place.patch(&mut seeded)),
            7 => place.around(place.read(&mut seeded)),
            8 => place.around(place.delete(&mut seeded)),
            _ => place.around(place.odd(&mut seeded)),
        };
        Case { number, requests }
    }
}

struct Place<'a> {
    sample: &'a Sample,
    collection: &'a str,
    one: &'a str,
}

impl Place<'_> {
    /// The object made before, what is stored after, and the object taken away.
    fn around(&self, asked: Vec<Request>) -> Vec<Request> {
        let mut all = vec![Request::json("POST", self.collection, &self.sample.object)];
        all.extend(asked);
        all.push(Request::bare("GET", self.one));
        all.push(Request::json("PATCH", self.one, &json!({"metadata": {"finalizers": null}})).merging());
        all.push(Request::bare("DELETE", format!("{}?gracePeriodSeconds=0", self.one)));
        all
    }

    fn create(&self, seeded: &mut Seeded) -> Request {
        let queries = ["", "&fieldValidation=Warn", "&fieldValidation=Strict", "&fieldValidation=Ignore"];
        let query = seeded.pick(&queries);
        let body = mutation::mutated(&self.sample.object, seeded);
        Request::with("POST", format!("{}?dryRun=All{query}", self.collection), "application/json", body)
    }

    fn update(&self, seeded: &mut Seeded) -> Vec<Request> {
        let mut body: Value = self.sample.object.clone();
        match seeded.below(5) {
            0 => body["metadata"]["resourceVersion"] = json!("$RV"),
            1 => body["metadata"]["resourceVersion"] = json!("1"),
            2 => body["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000"),
            3 => body["metadata"]["labels"] = json!({"changed": "yes"}),
            _ => {}
        }
        let body = mutation::mutated(&body, seeded);
        let below = match self.sample.subresources.iter().find(|name| *name == "status") {
            Some(name) if seeded.below(4) == 0 => format!("/{name}"),
            _ => String::new(),
        };
        vec![Request::with("PUT", format!("{}{below}", self.one), "application/json", body)]
    }

    fn patch(&self, seeded: &mut Seeded) -> Vec<Request> {
        let (content, body) = mutation::patch(&self.sample.object, seeded);
        let queries = match content {
            "application/apply-patch+yaml" => &["?fieldManager=me", "?fieldManager=me&force=true", "", "?force=true"],
            _ => &["", "?fieldManager=me", "?dryRun=All", "?fieldValidation=Strict"],
        };
        vec![Request::with("PATCH", format!("{}{}", self.one, seeded.pick(queries)), content, body)]
    }

    fn read(&self, seeded: &mut Seeded) -> Vec<Request> {
        let accept = *seeded.pick(&ACCEPTS);
        if seeded.below(3) == 0 {
            let query = *seeded.pick(&["", "?resourceVersion=0", "?resourceVersion=x", "?pretty=true"]);
            return vec![Request::bare("GET", format!("{}{query}", self.one)).accepting(accept)];
        }
        let name = self.one.rsplit('/').next().unwrap_or_default();
        let mut query = format!("fieldSelector=metadata.name={name}");
        let options = [
            "limit=1",
            "limit=-1",
            "limit=x",
            "resourceVersion=0",
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
            "watch=x",
            "unknown=1",
        ];
        for _ in 0..seeded.below(4) {
            query += &format!("&{}", seeded.pick(&options));
        }
        if seeded.below(5) == 0 {
            query += "&watch=true&timeoutSeconds=1";
        }
        vec![Request::bare("GET", format!("{}?{query}", self.collection)).accepting(accept)]
    }

    fn delete(&self, seeded: &mut Seeded) -> Vec<Request> {
        let options = [
            json!({}),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}),
            json!({"propagationPolicy": "Orphan"}),
            json!({"propagationPolicy": "Other"}),
            json!({"orphanDependents": true, "propagationPolicy": "Orphan"}),
            json!({"preconditions": {"uid": "wrong"}}),
            json!({"preconditions": {"uid": "$UID", "resourceVersion": "$RV"}}),
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
        let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
        if seeded.below(3) == 0 {
            return vec![Request::json("PATCH", self.one, &held).merging(), delete];
        }
        vec![delete]
    }

    fn odd(&self, seeded: &mut Seeded) -> Vec<Request> {
        let (one, all) = (self.one, self.collection);
        let body = self.sample.object.to_string();
        vec![match seeded.below(12) {
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
            _ => Request::bare("GET", one).accepting(seeded.pick::<&str>(&ACCEPTS)),
        }]
    }
}
