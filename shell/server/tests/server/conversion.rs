//! Custom resources whose versions a webhook converts: over TLS, from every way to read and write.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::world::{Authority, Client, World};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WORKS: u8 = 0;
const TALKS_NONSENSE: u8 = 1;
const HANGS: u8 = 2;

/// A webhook on a free port.
struct Webhook {
    address: SocketAddr,
    authority: String,
    mood: AtomicU8,
    calls: AtomicUsize,
}

impl Webhook {
    async fn start() -> Arc<Self> {
        let authority = Authority::new();
        let (cert, key) = authority.issue("webhook", "");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let webhook = Arc::new(Webhook {
            address: listener.local_addr().unwrap(),
            authority: STANDARD.encode(&authority.pem),
            mood: AtomicU8::new(WORKS),
            calls: AtomicUsize::new(0),
        });
        let serving = webhook.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (webhook, acceptor) = (serving.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| {
                        let webhook = webhook.clone();
                        async move { webhook.answer(request).await }
                    });
                    // A caller that gives up is what one test is about.
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
                });
            }
        });
        webhook
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let body = request.into_body().collect().await?.to_bytes();
        match self.mood.load(Ordering::Relaxed) {
            TALKS_NONSENSE => return Ok(Response::new(Full::from("nonsense"))),
            HANGS => std::future::pending::<()>().await,
            _ => {}
        }
        let review: Value = serde_json::from_slice(&body).unwrap();
        let to = review["request"]["desiredAPIVersion"].clone();
        let convert = |object: &Value| {
            let mut object = object.clone();
            object["apiVersion"] = to.clone();
            let (from, into) = if to == "g.io/v2" { ("old", "new") } else { ("new", "old") };
            let text = object["spec"].as_object_mut().unwrap().remove(from).unwrap_or_default();
            object["spec"][into] = text;
            object
        };
        let objects: Vec<Value> = review["request"]["objects"].as_array().unwrap().iter().map(convert).collect();
        let answer = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response":
            {"uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects}});
        Ok(Response::new(Full::from(answer.to_string())))
    }

    fn definition(&self) -> Value {
        let version = |name: &str, storage: bool, field: &str| {
            json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {field: {"type": "string"}}}}}}})
        };
        json!({"metadata": {"name": "foos.g.io"}, "spec": {"group": "g.io", "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [version("v1", true, "old"), version("v2", false, "new")],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig":
                {"url": format!("https://{}/convert", self.address), "caBundle": self.authority}}}}})
    }
}

fn path(version: &str, tail: &str) -> String {
    format!("/apis/g.io/{version}/namespaces/default/foos{tail}")
}

fn foo(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("g.io/{version}"), "kind": "Foo", "metadata": {"name": name}, "spec": spec})
}

async fn world() -> (World, Client, Arc<Webhook>) {
    let (world, webhook) = (World::new().await, Webhook::start().await);
    let admin = world.admin().await;
    admin.create(DEFINITIONS, webhook.definition()).await;
    (world, admin, webhook)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_reads_lists_and_watches_what_another_wrote() {
    let (world, admin, webhook) = world().await;
    let mut watch = admin.watch(&path("v2", "?watch=1")).await;
    let mut other = admin.watch(&path("v2", "?watch=1")).await;
    admin.create(&path("v1", ""), foo("v1", "a", json!({"old": "x"}))).await;
    for watch in [&mut watch, &mut other] {
        let (kind, name, event) = watch.next().await.unwrap();
        assert_eq!((kind.as_str(), name.as_str(), &event["object"]["spec"]), ("ADDED", "a", &json!({"new": "x"})));
    }
    assert_eq!(webhook.calls.load(Ordering::Relaxed), 1, "watchers share a conversion");
    let made = admin.create(&path("v2", ""), foo("v2", "b", json!({"new": "y"}))).await;
    assert_eq!((&made["apiVersion"], &made["spec"]), (&json!("g.io/v2"), &json!({"new": "y"})));
    // Watchers asked for it, too: once they have it, nobody asks but the list.
    for watch in [&mut watch, &mut other] {
        assert_eq!(watch.next().await.unwrap().1, "b");
    }
    let before = webhook.calls.load(Ordering::Relaxed);
    let list = admin.get(&path("v2", "")).await;
    let specs: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["spec"]).collect();
    assert_eq!(specs, [&json!({"new": "x"}), &json!({"new": "y"})]);
    assert_eq!(webhook.calls.load(Ordering::Relaxed), before + 1, "a list is one question");
    assert_eq!(admin.get(&path("v1", "/b")).await["spec"], json!({"old": "y"}));
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_talks_nonsense_is_told_of() {
    let (world, admin, webhook) = world().await;
    admin.create(&path("v1", ""), foo("v1", "a", json!({"old": "x"}))).await;
    webhook.mood.store(TALKS_NONSENSE, Ordering::Relaxed);
    let failed = "conversion webhook for g.io/v1, Kind=Foo failed: couldn't get version/kind; json parse error: ";
    let (code, status) = admin.ask("GET", &path("v2", "/a"), "").await;
    assert_eq!((code, &status["reason"]), (500, &json!("InternalError")));
    assert!(status["message"].as_str().unwrap().contains(failed), "{status}");
    let (code, status) = admin.ask("GET", &path("v2", ""), "").await;
    assert_eq!((code, &status["reason"]), (500, &json!("StorageReadError")));
    assert_eq!(status["details"]["causes"][0]["field"], "/registry/g.io/foos/default/a");
    assert_eq!(admin.get(&path("v1", "/a")).await["spec"], json!({"old": "x"}));
    let mut watch = admin.watch(&path("v2", "?watch=1&resourceVersion=1")).await;
    assert_eq!(watch.next().await.unwrap().0, "ERROR");
    assert_eq!(watch.next().await, None);
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_hangs_holds_up_nobody_else() {
    let (world, admin, webhook) = world().await;
    admin.create(&path("v1", ""), foo("v1", "a", json!({"old": "x"}))).await;
    webhook.mood.store(HANGS, Ordering::Relaxed);
    let stuck: Vec<_> = (0..80)
        .map(|_| {
            let client = admin.clone_with("accept", "application/json");
            tokio::spawn(async move { client.ask("GET", &path("v2", "/a"), "").await })
        })
        .collect();
    let started = Instant::now();
    while webhook.calls.load(Ordering::Relaxed) < 16 {
        assert!(started.elapsed() < Duration::from_secs(20), "the webhook is called");
        tokio::task::yield_now().await;
    }
    assert_eq!(admin.get(&path("v1", "/a")).await["spec"], json!({"old": "x"}));
    admin.get("/api/v1/namespaces/default/configmaps").await;
    assert!(started.elapsed() < Duration::from_secs(20));
    stuck.iter().for_each(tokio::task::JoinHandle::abort);
    world.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_when_its_definition_says_something_else() {
    let (world, admin, _webhook) = world().await;
    let definition = format!("{DEFINITIONS}/foos.g.io");
    let patch = admin.clone_with("content-type", "application/merge-patch+json");
    let mut watch = admin.watch(&path("v1", "?watch=1")).await;
    assert_eq!(patch.ask("PATCH", &definition, r#"{"metadata":{"labels":{"a":"b"}}}"#).await.0, 200);
    admin.create(&path("v1", ""), foo("v1", "a", json!({"old": "x"}))).await;
    assert_eq!(watch.next().await.unwrap().1, "a");
    let conversion = r#"{"spec":{"conversion":{"strategy":"None","webhook":null}}}"#;
    assert_eq!(patch.ask("PATCH", &definition, conversion).await.0, 200);
    assert_eq!(watch.next().await, None);
    world.server.shutdown().await;
}
