//! `/node/...`: what the node says of itself to those who proxy to it: its health, and the pods that it runs.

use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::answer::Answer;
use crate::pods::Pods;

pub(super) fn answer(pods: &Pods, path: &str) -> Answer {
    let path = path.trim_start_matches("/node").trim_end_matches('/');
    match path {
        "/healthz" | "/healthz/ping" => reply(200, "text/plain; charset=utf-8", "ok".to_owned()),
        "/pods" | "/runningpods" => reply(200, "application/json", list(pods).to_string()),
        _ => reply(404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
    }
}

/// All pods of the node as a list, with the statuses that the node itself sees.
fn list(pods: &Pods) -> Value {
    let items = pods.all().into_iter().map(|seen| {
        let mut pod = serde_json::to_value(&*seen.pod).unwrap_or_default();
        pod["status"] = serde_json::to_value(&*seen.status).unwrap_or_default();
        pod
    });
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items.collect::<Vec<_>>()})
}

fn reply(code: u16, content_type: &'static str, text: String) -> Answer {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
