//! Whom the store talks to.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use gantry_store::{EtcdConfig, EtcdStore, Store, StoreError};
use gantry_testkit::{EtcdCluster, needs_etcd};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::world::{config, connect, done, put, values};

/// Why connecting is refused.
async fn refusal(config: EtcdConfig) -> StoreError {
    match EtcdStore::connect(config).await {
        Ok(_) => panic!("it connected"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_members_that_the_authority_vouches_for_are_trusted() {
    needs_etcd!();
    let (etcd, other) = (EtcdCluster::start(1), EtcdCluster::start(1));
    let good = config(&etcd, etcd.endpoints());
    let wrong_authority = EtcdConfig { ca_pem: Some(other.certificates().ca_pem.clone()), ..good.clone() };
    let error = refusal(wrong_authority).await.to_string();
    assert!(error.contains("certificate") && error.contains(&etcd.endpoints()[0]), "{error}");
    let unknown_client = EtcdConfig {
        cert_pem: Some(other.certificates().cert_pem.clone()),
        key_pem: Some(other.certificates().key_pem.clone()),
        ..good.clone()
    };
    assert!(matches!(refusal(unknown_client).await, StoreError::Unavailable { .. }));
    assert!(matches!(
        refusal(EtcdConfig { cert_pem: None, key_pem: None, ..good.clone() }).await,
        StoreError::Unavailable { .. }
    ));
    let no_authority = refusal(EtcdConfig { ca_pem: None, ..good.clone() }).await.to_string();
    assert!(no_authority.contains("an authority's certificate is needed"), "{no_authority}");
    let nonsense = refusal(EtcdConfig { ca_pem: Some("no pem".to_owned()), ..good.clone() }).await;
    assert!(matches!(nonsense, StoreError::Io { operation: "connect", .. }), "{nonsense:?}");
    EtcdStore::connect(good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_that_fails_is_named_and_one_that_works_is_enough() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let dead = ["https://127.0.0.1:9".to_owned(), "https://[::1]:9".to_owned()];
    let error = refusal(config(&etcd, dead.to_vec())).await.to_string();
    assert!(dead.iter().all(|endpoint| error.contains(endpoint)), "{error}");
    let all = [&dead[..], &etcd.endpoints()].concat();
    let store = EtcdStore::connect(config(&etcd, all)).await.unwrap();
    done(&store, put("/a", "1")).await;
    for wrong in ["127.0.0.1:2379", "ftp://x:1", "https://x:1/path"] {
        let error = refusal(EtcdConfig { endpoints: vec![wrong.to_owned()], ..EtcdConfig::default() }).await;
        assert!(error.to_string().contains(wrong), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefixes_do_not_see_each_other() {
    needs_etcd!();
    let etcd = EtcdCluster::start(1);
    let first = connect(&etcd).await;
    let other = EtcdConfig { prefix: "/gantry-cluster2".to_owned(), ..config(&etcd, etcd.endpoints()) };
    let second = EtcdStore::connect(other).await.unwrap();
    done(&first, put("/a", "first")).await;
    done(&second, put("/a", "second")).await;
    assert_eq!(values(&first, "").await, [("/a".to_owned(), "first".to_owned())]);
    assert_eq!(values(&second, "/").await, [("/a".to_owned(), "second".to_owned())]);
}

/// One message of a gRPC answer.
fn framed(message: &[u8]) -> Bytes {
    Bytes::from([&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat())
}

/// A status in etcd's words: field 1 is a header, whose field 1 is the cluster, field 2 the version, field 4 the leader.
fn status(cluster: u8, version: &str) -> Bytes {
    let length = u8::try_from(version.len()).unwrap();
    framed(&[&[0x0a, 2, 0x08, cluster, 0x12, length], version.as_bytes(), &[0x20, 1]].concat())
}

/// An empty range in etcd's words: field 1 is a header, whose field 3 is the revision.
fn nothing_at(revision: u8) -> Bytes {
    framed(&[0x0a, 2, 0x18, revision])
}

/// A server that answers calls, by their path, with single messages.
async fn server(answer: impl Fn(&str) -> Bytes + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                let frames = [Frame::data(answer(request.uri().path())), Frame::trailers(trailers)];
                let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
                let response = http::Response::builder().header("content-type", "application/grpc").body(body);
                async { response }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    endpoint
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_too_old_is_refused_by_its_version() {
    let endpoint = server(|_| status(7, "3.3.27")).await;
    let config = EtcdConfig { endpoints: vec![endpoint.clone()], ..EtcdConfig::default() };
    let error = refusal(config).await;
    assert_eq!(error, StoreError::Outdated { endpoint, found: "3.3.27".to_owned(), needed: "3.4" });
    assert!(error.to_string().contains("etcd 3.3.27 is too old, 3.4 or newer is needed"), "{error}");
}

/// A member of a cluster, at a revision.
async fn member(cluster: u8, revision: &Arc<AtomicU8>) -> String {
    let revision = revision.clone();
    let answer = move |path: &str| match path {
        "/etcdserverpb.Maintenance/Status" => status(cluster, "3.6.0"),
        _ => nothing_at(revision.load(Ordering::SeqCst)),
    };
    server(answer).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_a_member_that_forgot_what_was_confirmed_is_not_believed() {
    let revision = Arc::new(AtomicU8::new(100));
    let config = EtcdConfig { endpoints: vec![member(7, &revision).await], ..EtcdConfig::default() };
    let store = EtcdStore::connect(config).await.unwrap();
    assert_eq!(store.latest().await, Ok(100));
    revision.store(90, Ordering::SeqCst);
    let refused = store.latest().await.unwrap_err().to_string();
    assert!(refused.contains("at revision 90, and there was revision 100 already"), "{refused}");
    assert!(matches!(store.range(Bytes::new()).await, Err(StoreError::Unavailable { .. })));
    revision.store(110, Ordering::SeqCst);
    assert_eq!(store.latest().await, Ok(110));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_two_clusters_are_not_mixed() {
    let (ours, others) = (Arc::new(AtomicU8::new(100)), Arc::new(AtomicU8::new(120)));
    let endpoints = vec![member(7, &ours).await, member(8, &others).await];
    let store = EtcdStore::connect(EtcdConfig { endpoints, ..EtcdConfig::default() }).await.unwrap();
    assert_eq!(store.latest().await, Ok(100));
    // Nothing that the first one says can be used, and the other one would have an answer.
    ours.store(90, Ordering::SeqCst);
    assert!(matches!(store.latest().await, Err(StoreError::Unavailable { .. })));
    ours.store(101, Ordering::SeqCst);
    assert_eq!(store.latest().await, Ok(101));
}
