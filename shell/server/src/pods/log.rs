//! `pods/log`: options checked here, the text from the node.

use futures_util::StreamExt;
use gantry_kinds::{FieldError, KindRef, Path, Status};
use gantry_streams::reading;
use http::Request;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::command::from_streams;
use super::target::Target;
use crate::Refusal;
use crate::app::{App, Call};
use crate::metrics::Gauge;
use crate::query::{Query, encode};
use crate::read::options::invalid_options;
use crate::respond::{self, Answer, BodyError, full};

/// Answers GET of a pod's log.
pub(crate) async fn log(
    app: &App,
    call: &Call,
    kind: KindRef,
    mut client: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let options = options(&call.query, &call.asked.name)?;
    let target = Target::find(app, call, kind)?;
    let container = target.container(call.query.text("container"))?;
    if target.node.is_empty() {
        // wire: a pod that runs nowhere yet has said nothing.
        return Ok(respond::bytes(204, "text/plain", ""));
    }
    let uri = format!("{}/{}?{options}", target.path("logs"), encode(&container));
    let request = Request::get(uri).body(full(bytes::Bytes::new())).map_err(respond::internal)?;
    let response = app.tunnels.send(&target.node, request).await?;
    let gauge = app.metrics.long_running(&call.asked);
    let stop = app.stop.clone();
    if reading::is_wanted(client.headers()) {
        return through_websocket(&mut client, response.into_body(), gauge, stop);
    }
    let body = response.into_body().map_frame(move |frame| {
        // The gauge lives as long as the text.
        let _open = &gauge;
        frame
    });
    let mut answer = respond::text(200, "");
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let frames = futures_util::StreamExt::take_until(http_body_util::BodyStream::new(body), stop.cancelled_owned());
    let body = http_body_util::StreamBody::new(frames);
    *answer.body_mut() = BodyExt::map_err(body, BodyError::from).boxed_unsync();
    Ok(answer)
}

/// Sends the text through a WebSocket, piece by piece.
fn through_websocket(
    client: &mut Request<Incoming>,
    log: Incoming,
    gauge: Gauge,
    stop: CancellationToken,
) -> Result<Answer, Refusal> {
    let (response, pending) = reading::accept(client).map_err(from_streams)?;
    let pieces = http_body_util::BodyStream::new(log);
    let pieces = pieces.filter_map(|frame| std::future::ready(frame.ok().and_then(|frame| frame.into_data().ok())));
    tokio::spawn(async move {
        let _open = gauge;
        if let Err(error) = pending.send(pieces.take_until(stop.cancelled_owned())).await {
            tracing::debug!(%error, "a client stopped reading a log");
        }
    });
    Ok(response.map(|()| full(bytes::Bytes::new())))
}

/// Checks the options and writes them as the node reads them.
fn options(query: &Query, pod: &str) -> Result<String, Refusal> {
    let (tail, since, limit) =
        (query.integer("tailLines")?, query.integer("sinceSeconds")?, query.integer("limitBytes")?);
    let since_time = query.text("sinceTime").map(time).transpose()?;
    let mut errors = Vec::new();
    let at_least = |name: &str, value: i64, detail| FieldError::invalid(&Path::new(name), Value::from(value), detail);
    if let Some(tail) = tail.filter(|t| *t < 0) {
        errors.push(at_least("tailLines", tail, "must be greater than or equal to 0"));
    }
    if let Some(limit) = limit.filter(|l| *l < 1) {
        errors.push(at_least("limitBytes", limit, "must be greater than 0"));
    }
    match (since, since_time) {
        (Some(_), Some(_)) => {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.push(FieldError::forbidden(&Path::new("[]"), detail));
        }
        (Some(since), None) if since < 1 => errors.push(at_least("sinceSeconds", since, "must be greater than 0")),
        _ => {}
    }
    if query.text("stream").is_some_and(|stream| stream != "All") {
        errors.push(FieldError::forbidden(&Path::new("stream"), "may not be specified"));
    }
    if !errors.is_empty() {
        return Err(invalid_options("", "PodLogOptions", pod, &errors));
    }
    let numbers = [("tailLines", tail), ("sinceSeconds", since), ("limitBytes", limit)];
    let mut parts: Vec<String> =
        numbers.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?))).collect();
    parts.extend(since_time.map(|at| format!("sinceTime={}", encode(&at.to_string()))));
    parts.extend(
        ["follow", "timestamps", "previous"].iter().filter(|name| query.on(name)).map(|name| format!("{name}=true")),
    );
    Ok(parts.join("&"))
}

fn time(text: &str) -> Result<Timestamp, Refusal> {
    text.parse().map_err(|_| {
        let layout = "2006-01-02T15:04:05Z07:00";
        let why = format!("parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\"");
        Box::new(Status::bad_request(why))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: Result<&str, &str>) {
        let got = options(&Query::parse(Some(query)), "p").map_err(|s| s.message);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{query}");
    }

    #[test]
    fn options_are_checked_and_passed_on() {
        check("follow=true&tailLines=5&container=a", Ok("tailLines=5&follow=true"));
        check("sinceTime=2020-01-01T00:00:00Z", Ok("sinceTime=2020-01-01T00%3A00%3A00Z"));
        check("tailLines=x", Err("strconv.ParseInt: parsing \"x\": invalid syntax"));
        let head = "PodLogOptions \"p\" is invalid: ";
        let tail = format!("{head}tailLines: Invalid value: -1: must be greater than or equal to 0");
        check("tailLines=-1", Err(&tail));
        check("limitBytes=0", Err(&format!("{head}limitBytes: Invalid value: 0: must be greater than 0")));
        check("sinceSeconds=0", Err(&format!("{head}sinceSeconds: Invalid value: 0: must be greater than 0")));
        let both = format!("{head}[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
        check("sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z", Err(&both));
        check("stream=Foo", Err(&format!("{head}stream: Forbidden: may not be specified")));
        let time = "parsing time \"foo\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"foo\" as \"2006\"";
        check("sinceTime=foo", Err(time));
    }
}
