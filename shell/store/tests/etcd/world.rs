//! What the tests share: stores on a test's etcd, transactions, and a network that can be cut.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gantry_store::{Batch, Commit, EtcdConfig, EtcdStore, Store, Txn, Watch};
use gantry_testkit::EtcdCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What anything is given at the most on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn config(etcd: &EtcdCluster, endpoints: Vec<String>) -> EtcdConfig {
    let certificates = etcd.certificates().clone();
    EtcdConfig {
        endpoints,
        ca_pem: Some(certificates.ca_pem),
        cert_pem: Some(certificates.cert_pem),
        key_pem: Some(certificates.key_pem),
        ..EtcdConfig::default()
    }
}

pub async fn connect(etcd: &EtcdCluster) -> EtcdStore {
    EtcdStore::connect(config(etcd, etcd.endpoints())).await.expect("a store in etcd")
}

pub fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

pub fn put(key: &str, value: impl AsRef<[u8]>) -> Txn {
    Txn { writes: vec![(bytes(key), Some(bytes(value)))], durable: true, ..Txn::default() }
}

pub fn put_if(key: &str, expected: u64, value: impl AsRef<[u8]>) -> Txn {
    Txn { compare: vec![(bytes(key), expected)], ..put(key, value) }
}

pub async fn done(store: &EtcdStore, txn: Txn) -> u64 {
    match store.commit(txn).await {
        Ok(Commit::Done(revision)) => revision,
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// The next batch of a watch, with or without changes.
pub async fn next(watch: &mut Watch) -> Arc<Batch> {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("a batch in time").expect("no error")
}

/// All values under a prefix.
pub async fn values(store: &EtcdStore, prefix: &str) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let range = store.range(bytes(prefix)).await.expect("a range");
    range.entries.iter().map(|entry| (text(&entry.key), text(&entry.value))).collect()
}

const FORWARDING: u8 = 0;
const SWALLOWING: u8 = 1;
const CUT: u8 = 2;

/// A connection to a member that a test can spoil.
pub struct Network {
    pub endpoint: String,
    mode: Arc<AtomicU8>,
    listener: JoinHandle<()>,
}

impl Network {
    /// A way to an endpoint, which has to be valid for 127.0.0.1.
    pub async fn to(endpoint: &str) -> Self {
        let target: SocketAddr = endpoint.split("//").nth(1).expect("a URL").parse().expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let endpoint = format!("https://{}", listener.local_addr().expect("its address"));
        let mode = Arc::new(AtomicU8::new(FORWARDING));
        let shared = mode.clone();
        let listener = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(forward(client, target, shared.clone()));
            }
        });
        Network { endpoint, mode, listener }
    }

    /// From now on requests arrive and answers do not.
    pub fn swallow_answers(&self) {
        self.mode.store(SWALLOWING, Ordering::SeqCst);
    }

    /// From now on nothing gets through, and nobody is told.
    pub fn cut(&self) {
        self.mode.store(CUT, Ordering::SeqCst);
    }

    /// As it was at first.
    pub fn heal(&self) {
        self.mode.store(FORWARDING, Ordering::SeqCst);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Bytes that are not let through are lost, so a connection that was spoiled once does not work again.
async fn forward(client: TcpStream, target: SocketAddr, mode: Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (there, back) = (mode.clone(), mode);
    let requests = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            if there.load(Ordering::SeqCst) != CUT && to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        let mut spoiled = false;
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            spoiled |= back.load(Ordering::SeqCst) != FORWARDING;
            if !spoiled && to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
