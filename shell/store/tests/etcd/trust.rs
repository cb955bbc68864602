//! Whom the store talks to.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use gantry_store::{EtcdConfig, EtcdStore, StoreError};
use gantry_testkit::{EtcdCluster, needs_etcd};
use http_body_util::StreamBody;
use hyper::body::Frame;
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

/// A server that says of itself, in etcd's words, that it is `version`.
async fn server_of_version(version: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Field 2, a text, in a gRPC frame.
    let length = u8::try_from(version.len()).unwrap();
    let message = [&[0, 0, 0, 0, length + 2, 0x12, length], version.as_bytes()].concat();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let message = Bytes::from(message.clone());
            let service = service_fn(move |_| {
                let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                let frames = [Frame::data(message.clone()), Frame::trailers(trailers)].map(Ok::<_, Infallible>);
                let body = StreamBody::new(futures_util::stream::iter(frames));
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
    let endpoint = server_of_version("3.3.27").await;
    let config = EtcdConfig { endpoints: vec![endpoint.clone()], ..EtcdConfig::default() };
    let error = tokio::time::timeout(Duration::from_secs(20), refusal(config)).await.unwrap();
    assert_eq!(error, StoreError::Outdated { endpoint, found: "3.3.27".to_owned(), needed: "3.4" });
    assert!(error.to_string().contains("etcd 3.3.27 is too old, 3.4 or newer is needed"), "{error}");
}
