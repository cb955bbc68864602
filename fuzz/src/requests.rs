//! What a hostile client sends: requests that are wrong in one or many ways, and frames that HTTP/2 peers misuse.
//!
//! Everything is bytes for a connection that is open already, so that nothing between corrects them.

use std::fmt::Write as _;

use crate::{Random, mutate, shaped};
use gantry_kinds::table;
use gantry_schema::Schema;

/// What every HTTP/2 connection opens with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const METHODS: [&str; 12] =
    ["GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FROB", "get"];
const PATHS: [&str; 30] = [
    "/",
    "/api",
    "/apis",
    "/api/v1",
    "/api/v1/pods",
    "/api/v1/namespaces/default/configmaps",
    "/version",
    "/readyz",
    "/api/v1/namespaces/default/configmaps/a",
    "/api/v1/namespaces//configmaps",
    "/api/v1/namespaces/%00/configmaps/%ff",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/apps/v1/namespaces/default/deployments/a/scale",
    "//api//v1//pods",
    "/api/v1/namespaces/default/pods/a/log",
    "/api/v1/namespaces/default/pods/a/exec",
    "/openapi/v3",
    "/openapi/v2",
    "/metrics",
    "/apis/apps/v9/x",
    "/api/v1/nodes/../secrets",
    "/api/v1/namespaces/default/pods/a/status",
    "/api/v1/watch/pods",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/api/v1/namespaces/default/services/a:b:c/proxy/x",
    "*",
    "/api/v1/namespaces/default/pods/a/eviction",
    "/api/v1/namespaces/default/serviceaccounts/default/token",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/logs/..%2f..%2fetc/passwd",
];
const QUERIES: [&str; 34] = [
    "limit=-1",
    "limit=99999999999999999999",
    "limit=1",
    "continue=%00",
    "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTksInN0YXJ0IjoiYVwvYlx1MDAwMCJ9",
    "resourceVersion=18446744073709551615",
    "resourceVersion=-1",
    "resourceVersion=1e9",
    "resourceVersion=%F0%9F%A6%80",
    "resourceVersionMatch=Exact",
    "resourceVersionMatch=NotOlderThan",
    "resourceVersion=0",
    "watch=1&timeoutSeconds=1",
    "watch=maybe",
    "timeoutSeconds=-5",
    "timeoutSeconds=1&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
    "labelSelector=a%3Db%2C%28",
    "labelSelector=a+in+%28b%29",
    "fieldSelector=metadata.name%3D%5C",
    "fieldSelector=x%3Dy",
    "fieldManager=%0a",
    "fieldValidation=Strict",
    "fieldValidation=Odd",
    "dryRun=All",
    "dryRun=None",
    "dryRun=All&dryRun=All",
    "pretty=true",
    "force=true",
    "gracePeriodSeconds=-1",
    "propagationPolicy=Sideways",
    "command=%00",
    "&&==&%",
    "a=1;b=2",
];
const HEADERS: [&str; 24] = [
    "Accept: application/json;as=Table;v=v1;g=meta.k8s.io",
    "Accept: application/vnd.kubernetes.protobuf",
    "Accept: ;;;,,,q=",
    "Accept: application/yaml",
    "Accept: text/html;q=0.0001, */*;q=-1",
    "Accept: application/json;as=PartialObjectMetadataList;v=v9",
    "Accept-Encoding: gzip;q=x, br",
    "Accept-Encoding: gzip",
    "Authorization: Bearer a.b.c",
    "Authorization: Basic \u{7f}",
    "Authorization: Bearer",
    "Impersonate-User: system:admin",
    "Impersonate-Group: g",
    "Impersonate-Extra-%ff: v",
    "Content-Encoding: gzip",
    "Expect: 100-continue",
    "Audit-ID: \u{1}",
    "Upgrade: SPDY/3.1\r\nConnection: Upgrade",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA",
    "Range: bytes=0-1",
    "If-None-Match: *",
    "Transfer-Encoding: gzip",
    "Content-Length: 3",
    "X-Forwarded-For: ::1",
];
const TYPES: [&str; 12] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "*/*",
];

/// One request: method, target, the lines of its headers, and its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Lines `name: value`.
    pub headers: Vec<String>,
    /// Body.
    pub body: Vec<u8>,
}

/// A request that is wrong somewhere, mostly.
pub fn request(random: &mut Random) -> Request {
    let mut target = (*random.pick(&PATHS)).to_owned();
    let mut separator = '?';
    while random.once_in(2) {
        target.push(separator);
        let query = *random.pick(&QUERIES);
        target.push_str(query);
        separator = '&';
    }
    if random.once_in(12) {
        let odd = mutate::bytes(random, target.as_bytes(), b"/%2e%2e/%zz?=");
        target = odd.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '%' }).take(4000).collect();
    }
    let mut headers = Vec::new();
    while random.once_in(2) {
        headers.push((*random.pick(&HEADERS)).to_owned());
    }
    if random.once_in(50) {
        headers.push(format!("X-Long: {}", "y".repeat(random.below(100_000))));
    }
    let method = (*random.pick(&METHODS)).to_owned();
    let body = if matches!(method.as_str(), "GET" | "HEAD") && !random.once_in(20) { Vec::new() } else { body(random) };
    headers.push(format!("Content-Type: {}", random.pick(&TYPES)));
    Request { method, target, headers, body }
}

fn body(random: &mut Random) -> Vec<u8> {
    let kinds: Vec<_> = table::stored().collect();
    let kind = random.pick(&kinds);
    let schema = Schema::builtin();
    let made = schema.get(kind.schema).map(|known| shaped::object(random, schema, known)).unwrap_or_default();
    let sound = made.to_string().into_bytes();
    match random.below(8) {
        0 => Vec::new(),
        1 => sound,
        2 => "[".repeat(random.below(100_000)).into_bytes(),
        3 => "{\"a\":".repeat(random.below(20_000)).into_bytes(),
        4 => br#"[{"op":"add","path":"/metadata/labels/a","value":{"a":[]}},{"op":"copy","from":"","path":"/a"}]"#
            .to_vec(),
        5 => b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c,*c]\n".to_vec(),
        _ => mutate::bytes(random, &sound, b"\xff\x00k8s\x00\x0a\x80\x80\x80\x80\x80\x80"),
    }
}

impl Request {
    /// The request as HTTP/1.1 bytes; now and then with a length that is wrong, or none.
    pub fn http1(&self, random: &mut Random) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.target);
        for line in &self.headers {
            let _ = write!(head, "{line}\r\n");
        }
        if !random.once_in(10) {
            head.push_str("Connection: close\r\n");
        }
        match random.below(12) {
            0 => head.push_str("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
            1 => {
                let _ = write!(head, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", self.body.len());
            }
            2 => {
                let _ = write!(head, "Content-Length: {}\r\nContent-Length: 1\r\n\r\n", self.body.len());
            }
            3 => head.push_str("Content-Length: -1\r\n\r\n"),
            _ => {
                let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
            }
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        if random.once_in(10) { mutate::bytes(random, &bytes, b"\r\n\r\nGET / HTTP/1.1\r\n\x00") } else { bytes }
    }
}

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Headers as literals that are neither compressed nor remembered.
fn literals(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        block.push(0);
        for text in [name, value] {
            let length = text.len().min(126);
            block.push(length as u8);
            block.extend_from_slice(&text.as_bytes()[..length]);
        }
    }
    block
}

fn get(path: &str) -> Vec<u8> {
    literals(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)])
}

/// The ways in which an HTTP/2 peer floods a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Requests that are taken back as soon as they are made.
    Resets,
    /// A head that never ends.
    Continuations,
    /// Settings that want to be acknowledged.
    Settings,
    /// Pings that want to be answered.
    Pings,
    /// A head of very many fields.
    Fields,
    /// Any frames.
    Any,
}

impl Flood {
    /// All of them.
    pub const ALL: [Flood; 6] =
        [Flood::Resets, Flood::Continuations, Flood::Settings, Flood::Pings, Flood::Fields, Flood::Any];

    /// The bytes of a whole connection with that many frames.
    pub fn bytes(self, random: &mut Random, frames: u32) -> Vec<u8> {
        let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
        if matches!(self, Flood::Continuations | Flood::Fields) {
            bytes.extend(frame(1, 0, 1, &get("/version")));
        }
        for at in 0..frames {
            bytes.extend(match self {
                Flood::Resets => {
                    let stream = 1 + 2 * at;
                    let list = frame(1, 5, stream, &get("/api/v1/pods"));
                    [list, frame(3, 0, stream, &[0, 0, 0, 8])].concat()
                }
                Flood::Continuations => frame(9, 0, 1, &[]),
                Flood::Settings => frame(4, 0, 0, &[0, 4, 0, 0, 0, at as u8]),
                Flood::Pings => frame(6, 0, 0, &[at as u8; 8]),
                Flood::Fields => frame(9, 0, 1, &literals(&[("x-a", "b"); 100])),
                Flood::Any => {
                    let (length, kind, flags) = (random.below(40), random.below(11) as u8, random.draw() as u8);
                    let stream = *random.pick(&[0, 1, 2, 3, 5, 0x7fff_ffff]);
                    frame(kind, flags, stream, &random.bytes(length))
                }
            });
        }
        bytes
    }
}
