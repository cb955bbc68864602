//! Groups that another API server answers, in a network of their own: services are not behind loopback addresses.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::SanType;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::world::{Authority, Client, World};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const FLUNDERS: &str = "/apis/w.example.com/v1/namespaces/default/flunders";
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test on a thread whose network nobody else has; it goes with the thread.
fn in_a_network_of_its_own<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("this test makes a network: run it as root");
        for words in ["link set lo up", &format!("addr add {ADDRESS}/32 dev lo")] {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Another API server: it believes the front proxy, and says what it was told.
async fn other_server(world: &World, authority: &Authority) -> (SocketAddr, JoinHandle<()>) {
    let (cert, key) = authority.issue_for("other", "", SanType::DnsName("s.default.svc".try_into().unwrap()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.pem.as_bytes()).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = config.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
                // Whoever asked may go at any time.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
    (address, serving)
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers().iter();
    let said: Vec<String> = headers
        .filter(|(name, _)| name.as_str().starts_with("x-remote"))
        .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
        .collect();
    let body = match request.uri().path() {
        "/apis/w.example.com/v1" => {
            json!({"kind": "APIResourceList", "groupVersion": "w.example.com/v1", "resources": [
            {"name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder", "verbs": ["list"]}]})
        }
        "/openapi/v3" => {
            json!({"paths": {"apis/w.example.com/v1": {"serverRelativeURL": "/openapi/v3/apis/w.example.com/v1?hash=A"}}})
        }
        "/openapi/v3/apis/w.example.com/v1" => json!({"openapi": "3.0.0", "info": {"title": "other", "version": "1"},
            "paths": {"/apis/w.example.com/v1/flunders": {}}}),
        path if path.contains("/flunders") => json!({"said": said, "query": request.uri().query()}),
        _ => json!({}),
    };
    Response::new(Full::new(Bytes::from(body.to_string())))
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn available(admin: &Client, status: &str) -> Value {
    until(status, async || {
        let service = admin.get(&format!("{SERVICE}/v1.w.example.com")).await;
        let condition = service["status"]["conditions"][0].clone();
        (condition["status"] == status).then_some(condition)
    })
    .await
}

async fn register(admin: &Client, authority: &Authority, address: SocketAddr) {
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 443, "targetPort": address.port()}]}});
    admin.create("/api/v1/namespaces/default/services", service).await;
    let slice = json!({"metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4", "endpoints": [{"addresses": [ADDRESS]}], "ports": [{"name": "", "port": address.port()}]});
    admin.create("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await;
    let spec = json!({"group": "w.example.com", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 200,
        "caBundle": STANDARD.encode(&authority.pem), "service": {"namespace": "default", "name": "s"}});
    admin.create(SERVICE, json!({"metadata": {"name": "v1.w.example.com"}, "spec": spec})).await;
}

#[test]
fn another_server_answers_for_its_group() {
    in_a_network_of_its_own(async || {
        let world = World::new().await;
        world.cluster.campaign().await;
        let admin = world.admin().await;
        let authority = Authority::new();
        let (address, serving) = other_server(&world, &authority).await;
        register(&admin, &authority, address).await;
        assert_eq!(available(&admin, "True").await["reason"], "Passed");

        // It is told who asks, and nobody else says so.
        let claiming = admin.clone_with("x-remote-user", "somebody").with("x-remote-group", "kings");
        let (code, body) = claiming.ask("GET", &format!("{FLUNDERS}?limit=3"), "").await;
        assert_eq!((code, &body["query"]), (200, &json!("limit=3")));
        let said: Vec<&str> = body["said"].as_array().unwrap().iter().map(|said| said.as_str().unwrap()).collect();
        assert!(said.contains(&"x-remote-user=admin") && said.contains(&"x-remote-group=system:masters"), "{said:?}");
        assert!(!said.iter().any(|said| said.contains("somebody") || said.contains("kings")), "{said:?}");
        let jane = world.client("jane", "devs").await;
        assert_eq!(jane.ask("GET", FLUNDERS, "").await.0, 403);

        // What it serves is among what there is.
        let groups = admin.get("/apis").await["groups"].to_string();
        assert!(groups.contains("w.example.com/v1"), "{groups}");
        let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let (_, all) = admin.clone_with("accept", aggregated).ask("GET", "/apis", "").await;
        assert!(all.to_string().contains("\"resource\":\"flunders\""));
        assert_eq!(admin.get("/openapi/v3/apis/w.example.com/v1").await["info"]["title"], "other");
        let trust = admin.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").await;
        assert_eq!(trust["data"]["requestheader-allowed-names"], "[\"front\"]");

        // One that is gone is said to be, and holds up nobody.
        serving.abort();
        let gone = available(&admin, "False").await;
        assert_eq!(gone["reason"], "FailedDiscoveryCheck");
        until("503", async || (admin.ask("GET", FLUNDERS, "").await.0 == 503).then_some(())).await;
        assert_eq!(admin.ask("DELETE", &format!("{SERVICE}/v1.w.example.com"), "").await.0, 200);
        until("404", async || (admin.ask("GET", FLUNDERS, "").await.0 == 404).then_some(())).await;
        world.server.shutdown().await;
    });
}
