//! gRPC's health protocol.

use std::time::Duration;

use gantry_node::probe::Outcome;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

/// The status of a service that serves.
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Asks for the health of a service.
pub(super) async fn check(ip: &str, port: u16, service: &str, bound: Duration) -> Outcome {
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let place = format!("{host}:{port}");
    match tokio::time::timeout(bound, ask(&place, service)).await {
        Err(_) => Outcome::Failure(format!("timeout: failed to connect service {place:?} within {bound:?}")),
        Ok(Err(status)) if status.code() == Code::Unimplemented => Outcome::Failure(format!(
            "error: this server does not implement the grpc health protocol: {}",
            status.message()
        )),
        Ok(Err(status)) => Outcome::Failure(format!("error: health rpc probe failed: {}", status.message())),
        Ok(Ok(SERVING)) => Outcome::Success,
        Ok(Ok(other)) => {
            let name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
            let name = usize::try_from(other).ok().and_then(|at| name.get(at)).unwrap_or(&"UNKNOWN");
            Outcome::Failure(format!("service unhealthy (responded with {name:?})"))
        }
    }
}

async fn ask(place: &str, service: &str) -> Result<i32, Status> {
    let unavailable = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
    let endpoint = Endpoint::from_shared(format!("http://{place}")).map_err(|error| unavailable(&error))?;
    let channel = endpoint.connect().await.map_err(|error| unavailable(&error))?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| unavailable(&error))?;
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner().status)
}
