//! The connection to the runtime's socket, and single calls over it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::CriError;
use crate::limits::{CONNECT, MESSAGE_BYTES, STARTING_WAIT};

/// What containerd says between opening its socket and being able to answer; it has done nothing then.
const STARTING: &str = "server is not initialized yet";

/// A connection that is made with the first call, and anew when it was lost.
#[derive(Clone)]
pub(crate) struct Socket {
    channel: Channel,
    path: String,
}

impl Socket {
    pub(crate) fn new(path: &Path) -> Self {
        let at: PathBuf = path.to_owned();
        let endpoint = Endpoint::from_static("http://localhost").connect_timeout(CONNECT);
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let at = at.clone();
            async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(at).await?)) }
        }));
        Socket { channel, path: path.display().to_string() }
    }

    /// One request, one answer, within `bound`. A runtime that is still starting is asked again.
    pub(crate) async fn call<Q, A>(
        &self,
        operation: &'static str,
        path: &'static str,
        message: Q,
        bound: Duration,
    ) -> Result<A, CriError>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            loop {
                let mut grpc = self.ready().await?;
                let path = PathAndQuery::from_static(path);
                match grpc.unary(namespaced(message.clone()), path, ProstCodec::<Q, A>::default()).await {
                    Err(status) if status.message().contains(STARTING) => tokio::time::sleep(STARTING_WAIT).await,
                    answer => return answer,
                }
            }
        };
        let answer = match tokio::time::timeout(bound, call).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", bound.as_secs()))),
        };
        answer.map(tonic::Response::into_inner).map_err(|status| self.error(operation, &status))
    }

    /// One request, many answers.
    pub(crate) async fn stream<Q, A>(
        &self,
        operation: &'static str,
        path: &'static str,
        message: Q,
    ) -> Result<Streaming<A>, CriError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let call = async {
            let mut grpc = self.ready().await?;
            grpc.server_streaming(namespaced(message), PathAndQuery::from_static(path), ProstCodec::<Q, A>::default())
                .await
        };
        call.await.map(tonic::Response::into_inner).map_err(|status| self.error(operation, &status))
    }

    pub(crate) fn error(&self, operation: &'static str, status: &Status) -> CriError {
        CriError::new(operation, &self.path, status)
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES);
        grpc.ready().await.map_err(|error| Status::unavailable(cause(&error)))?;
        Ok(grpc)
    }
}

/// A request about the containers of Kubernetes; CRI's own calls do not mind.
fn namespaced<Q>(message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static("k8s.io"));
    request
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
