//! OpenAPI v3: an index with hashes, and a document for each group and version, built when somebody first asks and
//! kept compressed. Beside it what is still asked of version 2.

mod legacy;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gantry_kinds::{KindRef, Status, table};
use gantry_schema::Schema;
use gantry_schema::openapi::{Served, ServedSubresource, document};
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, EXPIRES, HeaderValue, LOCATION, VARY};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Map, json};

use crate::discovery::{Discovery, etag};
use crate::negotiate::{Accepted, Offer, accept};
use crate::query::Query;
use crate::respond::{self, Answer};
use crate::{Refusal, Version};

/// The documents that were asked for so far, compressed.
pub(crate) struct OpenApi {
    /// What the documents depend on: the build.
    build: String,
    documents: Mutex<BTreeMap<String, Bytes>>,
}

impl OpenApi {
    pub(crate) fn new(version: &Version) -> Self {
        let program = std::env::current_exe().and_then(std::fs::metadata);
        let program = program.map(|m| format!("{:?} {}", m.modified().ok(), m.len())).unwrap_or_default();
        OpenApi { build: format!("{version:?} {program}"), documents: Mutex::default() }
    }

    /// `/openapi/v2`, for those who read its binary form.
    pub(crate) fn legacy(headers: &HeaderMap) -> Result<Answer, Refusal> {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
        if accepted.flat_map(|v| v.split(',')).any(|media| media.trim() == legacy::ACCEPTED) {
            return Ok(respond::bytes(200, legacy::ANSWERED, legacy::document()));
        }
        let text = format!("only the following media types are accepted: {}", legacy::ACCEPTED);
        Err(Box::new(Status::new(406, "NotAcceptable", text)))
    }

    /// `/openapi/v3`.
    pub(crate) fn index(&self, discovery: &Discovery, accepted: &Accepted) -> Answer {
        let mut paths = Map::new();
        for (group, version) in discovery.versions() {
            let path = path_of(group, version);
            let url = format!("/openapi/v3/{path}?hash={}", self.hash(&path));
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
        respond::value(200, &json!({ "paths": paths }), &Accepted { pretty: false, ..*accepted })
    }

    /// `/openapi/v3/PATH`.
    pub(crate) fn document(
        &self,
        discovery: &Discovery,
        path: &str,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Answer, Refusal> {
        let accepted = accept(headers, query, Offer::Documents)?;
        let Some((group, version)) = discovery.versions().iter().find(|(g, v)| path_of(g, v) == path) else {
            return Ok(respond::page_not_found());
        };
        let hash = self.hash(path);
        if let Some(asked) = query.text("hash").filter(|asked| *asked != hash) {
            tracing::debug!(asked, "an OpenAPI document of another build was asked for");
            return Ok(moved(&format!("/openapi/v3/{path}?hash={hash}")));
        }
        let tag = format!("\"{hash}\"");
        let mut answer = match headers.get(http::header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) {
            Some(known) if known == tag => respond::bytes(304, "application/json", ""),
            _ => self.body(path, group, version, &accepted)?,
        };
        let answer_headers = answer.headers_mut();
        answer_headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            answer_headers.insert(ETAG, tag);
        }
        if query.text("hash").is_some() {
            // The hash names the content for ever.
            answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            answer_headers.insert(EXPIRES, HeaderValue::from_static("Thu, 31 Dec 2099 23:59:59 GMT"));
        }
        Ok(answer)
    }

    fn body(&self, path: &str, group: &str, version: &str, accepted: &Accepted) -> Result<Answer, Refusal> {
        let packed = self.packed(path, group, version)?;
        if accepted.gzip {
            let mut answer = respond::bytes(200, "application/json", packed);
            respond::mark_gzip(&mut answer);
            return Ok(answer);
        }
        let mut whole = Vec::new();
        GzDecoder::new(&*packed).read_to_end(&mut whole).map_err(respond::internal)?;
        Ok(respond::bytes(200, "application/json", whole))
    }

    fn packed(&self, path: &str, group: &str, version: &str) -> Result<Bytes, Refusal> {
        // One at a time: building takes memory, and whoever waits gets it ready-made.
        let mut documents = self.documents.lock();
        if let Some(packed) = documents.get(path) {
            return Ok(packed.clone());
        }
        let kinds: Vec<KindRef> =
            table::ALL.iter().copied().filter(|k| k.group == group && k.version == version).collect();
        let served: Vec<Served<'_>> = kinds.iter().map(|kind| served(kind)).collect();
        let whole = document(Schema::builtin(), group, version, &served);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut encoder, &whole).map_err(respond::internal)?;
        encoder.flush().map_err(respond::internal)?;
        let packed = Bytes::from(encoder.finish().map_err(respond::internal)?);
        documents.insert(path.to_owned(), packed.clone());
        Ok(packed)
    }

    fn hash(&self, path: &str) -> String {
        etag(format!("{} {path}", self.build).as_bytes()).trim_matches('"').to_owned()
    }
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn moved(to: &str) -> Answer {
    let mut answer = respond::bytes(301, "application/json", "");
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}

fn served(kind: KindRef) -> Served<'static> {
    let subresources = kind.subresources.iter().map(|s| {
        let (group, version) = s.group_version.unwrap_or((kind.group, kind.version));
        ServedSubresource { name: s.name, group, version, kind: s.kind, verbs: s.verbs, schema: s.schema }
    });
    Served {
        plural: kind.plural,
        kind: kind.kind,
        group: kind.group,
        version: kind.version,
        namespaced: kind.namespaced,
        verbs: kind.verbs,
        schema: kind.schema,
        subresources: subresources.collect(),
    }
}
