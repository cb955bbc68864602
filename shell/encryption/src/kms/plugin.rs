//! Calls to a plugin at its socket.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::message::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse};

/// Bytes that a call is named by.
const UID_BYTES: usize = 16;

/// How many calls of a method ended in a way, and how long they took together.
type Calls = BTreeMap<(&'static str, String), (u64, Duration)>;

/// The connection, made with the first call.
pub(super) struct Plugin {
    socket: PathBuf,
    timeout: Duration,
    channel: OnceLock<Channel>,
    calls: Mutex<Calls>,
}

impl Plugin {
    pub(super) fn new(socket: &str, timeout: Duration) -> Self {
        // wire: @name is a socket of Linux' abstract namespace.
        let socket = PathBuf::from(socket.strip_prefix("/@").map_or(socket.to_owned(), |name| format!("\0{name}")));
        Plugin { socket, timeout, channel: OnceLock::new(), calls: Mutex::default() }
    }

    pub(super) async fn status(&self) -> Result<StatusResponse, Status> {
        self.call("Status", "/v2.KeyManagementService/Status", StatusRequest {}).await
    }

    pub(super) async fn encrypt(&self, plaintext: Vec<u8>) -> Result<EncryptResponse, Status> {
        let request = EncryptRequest { plaintext, uid: uid() };
        self.call("Encrypt", "/v2.KeyManagementService/Encrypt", request).await
    }

    pub(super) async fn decrypt(
        &self,
        ciphertext: Vec<u8>,
        key_id: String,
        annotations: BTreeMap<String, Vec<u8>>,
    ) -> Result<Vec<u8>, Status> {
        let request = DecryptRequest { ciphertext, uid: uid(), key_id, annotations };
        let answer: DecryptResponse = self.call("Decrypt", "/v2.KeyManagementService/Decrypt", request).await?;
        Ok(answer.plaintext)
    }

    /// Calls so far by method and code.
    pub(super) fn calls(&self) -> Calls {
        self.calls.lock().clone()
    }

    async fn call<Q, A>(&self, method: &'static str, path: &'static str, message: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let started = Instant::now();
        let call = async {
            let mut grpc = Grpc::new(self.channel().clone());
            grpc.ready().await.map_err(|error| Status::unavailable(cause(&error)))?;
            grpc.unary(Request::new(message), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
        };
        let answer = match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("context deadline exceeded")),
        };
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        let mut calls = self.calls.lock();
        let (count, time) = calls.entry((method, format!("{code:?}"))).or_default();
        *count += 1;
        *time += started.elapsed();
        drop(calls);
        answer
    }

    fn channel(&self) -> &Channel {
        self.channel.get_or_init(|| {
            let at = self.socket.clone();
            let endpoint = Endpoint::from_static("http://localhost").connect_timeout(self.timeout);
            endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
                let at = at.clone();
                async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(at).await?)) }
            }))
        })
    }
}

fn uid() -> String {
    let mut bytes = [0; UID_BYTES];
    // Only a name in logs: one that comes twice harms nobody.
    let _ = rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
