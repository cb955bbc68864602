//! The documents of the API. OpenAPI 3: an index with hashes, and a document for each group and version; OpenAPI 2:
//! one document for all. They are built when somebody first asks, and kept compressed.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gantry_schema::Schema;
use gantry_schema::openapi::{Served, ServedSubresource, component_name, document, document_binary, swagger};
use http::header::{
    ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, VARY,
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::discovery::catalog::{Catalog, Resource, Version};
use crate::discovery::etag;
use crate::negotiate;
use crate::query::Query;
use crate::respond::{self, Answer};
use crate::{Refusal, Version as Build};

/// OpenAPI 2 in its binary form, as clients ask for it and as it is answered.
const BINARY: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];
/// OpenAPI 3 in its binary form, likewise.
const DOCUMENT_BINARY: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
];
/// The place of OpenAPI 2 among the documents that are kept.
const SWAGGER: &str = "swagger";
const SWAGGER_BINARY: &str = "swagger binary";

/// The documents that were asked for so far, compressed, each with the hash of what it was made of.
pub(crate) struct OpenApi {
    /// What the documents depend on beside the definitions of custom resources: the build.
    build: String,
    /// When the server began to have documents, as HTTP writes it.
    since: String,
    documents: Mutex<BTreeMap<String, (String, Bytes)>>,
}

impl OpenApi {
    pub(crate) fn new(version: &Build) -> Self {
        let program = std::env::current_exe().and_then(std::fs::metadata);
        let program = program.map(|m| format!("{:?} {}", m.modified().ok(), m.len())).unwrap_or_default();
        let since = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
        OpenApi {
            build: format!("{version:?} {program}"),
            since: since.unwrap_or_default(),
            documents: Mutex::default(),
        }
    }

    /// `/openapi/v2`.
    pub(crate) fn swagger(&self, catalog: &Catalog, headers: &HeaderMap) -> Result<Answer, Refusal> {
        let Some(kind) = wanted(headers, BINARY) else { return Ok(empty(406)) };
        let gzip = negotiate::for_refusals(headers, &Query::default()).gzip;
        let tag = etag(self.hash_of_all(catalog).as_bytes());
        let mut answer = if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            respond::bytes(304, kind, "")
        } else {
            let key = if kind == BINARY[1] { SWAGGER_BINARY } else { SWAGGER };
            packed_answer(self.packed(key, &self.hash_of_all(catalog), || write_swagger(catalog, key))?, kind, gzip)?
        };
        self.finish(&mut answer, &tag);
        Ok(answer)
    }

    /// `/openapi/v3`.
    pub(crate) fn index(&self, catalog: &Catalog) -> Answer {
        let mut paths = Map::new();
        for version in catalog.versions.iter().filter(|version| is_documented(version)) {
            let path = path_of(version);
            let url = format!("/openapi/v3/{path}?hash={}", self.hash(version));
            paths.insert(path, json!({ "serverRelativeURL": url }));
        }
        let mut answer = respond::text(200, json!({ "paths": paths }).to_string());
        answer.headers_mut().remove("x-content-type-options");
        answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer
    }

    /// `/openapi/v3/PATH`.
    pub(crate) fn document(
        &self,
        catalog: &Catalog,
        path: &str,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Answer, Refusal> {
        let Some(version) = catalog.versions.iter().find(|version| path_of(version) == path && is_documented(version))
        else {
            return Ok(empty(404));
        };
        let Some(kind) = wanted(headers, DOCUMENT_BINARY) else { return Ok(empty(406)) };
        let gzip = negotiate::for_refusals(headers, query).gzip;
        let hash = self.hash(version);
        let tag = format!("\"{hash}\"");
        let mut answer = if query.text("hash").is_some_and(|asked| asked != hash) {
            moved(&format!("/openapi/v3/{path}?hash={hash}"))
        } else if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
            respond::bytes(304, kind, "")
        } else {
            let packed = if kind == DOCUMENT_BINARY[1] {
                let key = format!("{path} binary");
                self.packed(&key, &hash, || pack(|out| out.write_all(&document_binary(&of_version(version)))))?
            } else {
                self.packed(path, &hash, || pack(|out| serde_json::to_writer(out, &of_version(version))))?
            };
            packed_answer(packed, kind, gzip)?
        };
        self.finish(&mut answer, &tag);
        if query.text("hash").is_some_and(|asked| asked == hash) {
            // The hash names the content for ever.
            let answer_headers = answer.headers_mut();
            answer_headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            answer_headers.insert(EXPIRES, HeaderValue::from_static("Thu, 31 Dec 2099 23:59:59 GMT"));
        }
        Ok(answer)
    }

    fn finish(&self, answer: &mut Answer, tag: &str) {
        let headers = answer.headers_mut();
        headers.append(VARY, HeaderValue::from_static("Accept"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        for (name, value) in [(ETAG, tag), (LAST_MODIFIED, self.since.as_str())] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
    }

    /// A document, from what is kept if it was made of the same.
    fn packed(&self, key: &str, hash: &str, make: impl FnOnce() -> std::io::Result<Vec<u8>>) -> Result<Bytes, Refusal> {
        // One at a time: building takes memory, and whoever waits gets it ready-made.
        let mut documents = self.documents.lock();
        if let Some((_, packed)) = documents.get(key).filter(|(of, _)| of == hash) {
            return Ok(packed.clone());
        }
        let packed = Bytes::from(make().map_err(respond::internal)?);
        documents.insert(key.to_owned(), (hash.to_owned(), packed.clone()));
        Ok(packed)
    }

    fn hash(&self, version: &Version) -> String {
        let text = format!("{} {} {}", self.build, path_of(version), version.definitions);
        etag(text.as_bytes()).trim_matches('"').to_owned()
    }

    fn hash_of_all(&self, catalog: &Catalog) -> String {
        catalog.versions.iter().map(|version| self.hash(version)).collect()
    }
}

/// The form of a document that the client prefers: JSON, or the binary one of these names.
fn wanted(headers: &HeaderMap, binary: [&'static str; 2]) -> Option<&'static str> {
    let wanted = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    let mut wanted: Vec<&str> = wanted.map(|media| media.split(';').next().unwrap_or_default().trim()).collect();
    if wanted.is_empty() {
        wanted.push("*/*");
    }
    wanted.iter().find_map(|media| match *media {
        "*/*" | "application/*" | "application/json" => Some("application/json"),
        media if binary.contains(&media) => Some(binary[1]),
        _ => None,
    })
}

/// An answer that says nothing but its code.
fn empty(code: u16) -> Answer {
    let mut answer = respond::bytes(code, "text/plain", "");
    answer.headers_mut().remove(CONTENT_TYPE);
    if code == 406 {
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    }
    answer
}

fn pack<E: Into<std::io::Error>>(
    write: impl FnOnce(&mut GzEncoder<Vec<u8>>) -> Result<(), E>,
) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    write(&mut encoder).map_err(Into::into)?;
    encoder.finish()
}

fn packed_answer(packed: Bytes, content_type: &'static str, gzip: bool) -> Result<Answer, Refusal> {
    if gzip {
        let mut answer = respond::bytes(200, content_type, packed);
        respond::mark_gzip(&mut answer);
        return Ok(answer);
    }
    let mut whole = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut whole).map_err(respond::internal)?;
    Ok(respond::bytes(200, content_type, whole))
}

fn write_swagger(catalog: &Catalog, form: &str) -> std::io::Result<Vec<u8>> {
    let mut all = swagger();
    for version in catalog.versions.iter().filter(|version| is_documented(version)) {
        all.add(of_version(version));
    }
    let whole = if form == SWAGGER_BINARY { all.binary() } else { all.json() };
    pack(|out| out.write_all(&whole))
}

/// Whether there is anything to tell of a version: of what another server serves, only it itself can.
fn is_documented(version: &Version) -> bool {
    version.remote.as_ref().is_none_or(|(contents, _)| contents.document.is_some())
}

/// The document of a group and version.
fn of_version(version: &Version) -> Value {
    if let Some((contents, _)) = &version.remote {
        return contents.document.clone().unwrap_or_default();
    }
    let names: Vec<String> =
        version.resources.iter().map(|r| component_name(&version.group, &version.name, &r.kind)).collect();
    let words: Vec<Words<'_>> = version.resources.iter().map(Words::of).collect();
    let rows = version.resources.iter().zip(&names).zip(&words);
    let served: Vec<Served<'_>> =
        rows.map(|((resource, name), words)| served(version, resource, name, words)).collect();
    document(Schema::builtin(), &version.group, &version.name, &served)
}

/// The verbs of a resource and of its subresources, borrowed.
struct Words<'a> {
    own: Vec<&'a str>,
    below: Vec<Vec<&'a str>>,
}

impl<'a> Words<'a> {
    fn of(resource: &'a Resource) -> Self {
        let borrowed = |words: &'a [String]| words.iter().map(String::as_str).collect();
        let below = resource.subresources.iter().map(|s| borrowed(&s.verbs));
        Words { own: borrowed(&resource.verbs), below: below.collect() }
    }
}

fn served<'a>(version: &'a Version, resource: &'a Resource, name: &'a str, words: &'a Words<'a>) -> Served<'a> {
    let subresources = resource.subresources.iter().zip(&words.below).map(|(s, verbs)| {
        let own = (version.group.as_str(), version.name.as_str());
        let (group, of) = s.group_version.as_ref().map_or(own, |(group, version)| (group, version));
        let of_row = resource.row.and_then(|row| row.subresource(&s.name)).map(|s| s.schema);
        let of_custom = if s.name == "scale" { "io.k8s.api.autoscaling.v1.Scale" } else { name };
        ServedSubresource {
            name: &s.name,
            group,
            version: of,
            kind: &s.kind,
            verbs,
            schema: of_row.unwrap_or(of_custom),
        }
    });
    Served {
        plural: &resource.plural,
        kind: &resource.kind,
        group: &version.group,
        version: &version.name,
        namespaced: resource.namespaced,
        verbs: &words.own,
        schema: resource.row.map_or(name, |row| row.schema),
        custom: resource.row.is_none().then_some(&resource.schema),
        selectable: resource.selectable.clone(),
        subresources: subresources.collect(),
    }
}

fn path_of(version: &Version) -> String {
    if version.group.is_empty() { format!("api/{}", version.name) } else { format!("apis/{}", version.group_version()) }
}

fn moved(to: &str) -> Answer {
    let mut answer = respond::bytes(301, "application/json", "");
    *answer.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(LOCATION, to);
    }
    answer
}
