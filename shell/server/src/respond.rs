//! Answers: objects in the negotiated format, refusals, plain text; indented and compressed where that was asked.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use gantry_kinds::Status;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::Refusal;
use crate::binary;
use crate::limits::{GZIP_FROM, WARNING_BYTES};
use crate::negotiate::{Accepted, Format};

/// Why a streamed body broke off.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;
/// An answer.
pub(crate) type Answer = Response<Body>;

/// A body that is all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of these bytes.
pub(crate) fn bytes(code: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(full(bytes));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Plain text.
pub(crate) fn text(code: u16, message: impl Into<String>) -> Answer {
    let mut answer = bytes(code, "text/plain; charset=utf-8", message.into());
    answer.headers_mut().insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    answer
}

/// A tree in the negotiated format.
pub(crate) fn value(code: u16, value: &Value, accepted: &Accepted) -> Answer {
    match accepted.format {
        Format::Yaml => bytes(code, "application/yaml", serde_saphyr::to_string(value).unwrap_or_default()),
        Format::Protobuf => match binary::body(value) {
            Some(body) => maybe_packed(code, binary::MEDIA_TYPE, body, accepted),
            // Documents that nobody has a binary form of.
            None => json_bytes(code, serde_json::to_vec(value).unwrap_or_default(), accepted),
        },
        Format::Json if accepted.pretty => {
            json_bytes(code, serde_json::to_vec_pretty(value).unwrap_or_default(), accepted)
        }
        Format::Json => json_bytes(code, serde_json::to_vec(value).unwrap_or_default(), accepted),
    }
}

/// Compact JSON in the negotiated format.
pub(crate) fn raw(code: u16, json: Bytes, accepted: &Accepted) -> Answer {
    if accepted.format == Format::Json && !accepted.pretty {
        return json_bytes(code, json, accepted);
    }
    value(code, &serde_json::from_slice(&json).unwrap_or(Value::Null), accepted)
}

fn json_bytes(code: u16, json: impl Into<Bytes>, accepted: &Accepted) -> Answer {
    maybe_packed(code, "application/json", json, accepted)
}

/// A body that is all there, compressed when it is large and the client can read that.
pub(crate) fn maybe_packed(
    code: u16,
    content_type: &'static str,
    body: impl Into<Bytes>,
    accepted: &Accepted,
) -> Answer {
    let body = body.into();
    if !accepted.gzip || body.len() < GZIP_FROM {
        return bytes(code, content_type, body);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    match encoder.write_all(&body).and_then(|()| encoder.finish()) {
        Ok(packed) => {
            let mut answer = bytes(code, content_type, packed);
            mark_gzip(&mut answer);
            answer
        }
        Err(_) => bytes(code, content_type, body),
    }
}

/// Says that the body is compressed.
pub(crate) fn mark_gzip(answer: &mut Answer) {
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// A refusal as `metav1.Status`.
pub(crate) fn refusal(status: &Status, accepted: &Accepted) -> Answer {
    let mut answer = value(status.code, &status_body(status), accepted);
    if status.retry_after_seconds > 0 {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(status.retry_after_seconds));
    }
    warn(&mut answer, &status.warnings);
    answer
}

/// Adds `Warning` headers, each text once, as many as fit.
pub(crate) fn warn(answer: &mut Answer, warnings: &[String]) {
    let mut seen: Vec<&String> = Vec::new();
    let mut left = WARNING_BYTES;
    for warning in warnings {
        if seen.contains(&warning) || warning.len() > left {
            continue;
        }
        left -= warning.len();
        seen.push(warning);
        let text: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            answer.headers_mut().append(HeaderName::from_static("warning"), value);
        }
    }
}

/// wire: refusals that are about no object carry empty details; of those about media types, the router's alone.
pub(crate) fn status_body(status: &Status) -> Value {
    let mut body = status.to_value();
    let bare = match status.reason {
        "NotFound" | "Forbidden" | "MethodNotAllowed" | "Invalid" => true,
        "NotAcceptable" | "UnsupportedMediaType" => status.message.starts_with(&format!("{}: ", status.code)),
        _ => false,
    };
    if body.get("details").is_none() && bare {
        body["details"] = json!({});
    }
    body
}

/// 404 for paths outside the resource API.
pub(crate) fn page_not_found() -> Answer {
    text(404, "404 page not found\n")
}

/// Sets the header that every answer has unless it says otherwise.
pub(crate) fn finish(answer: &mut Answer, audit_id: &str) {
    let headers = answer.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    if let Ok(id) = HeaderValue::from_str(audit_id) {
        headers.insert(HeaderName::from_static("audit-id"), id);
    }
}

/// 500 for what should not have happened.
pub(crate) fn internal(error: impl std::fmt::Display) -> Refusal {
    Box::new(Status::internal(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted_and_said_once() {
        let mut answer = text(200, "");
        let texts = ["unknown field \"spec.foo\"", "unknown field \"spec.foo\"", "b\n", &"x".repeat(WARNING_BYTES)];
        warn(&mut answer, &texts.map(str::to_owned));
        let got: Vec<_> = answer.headers().get_all("warning").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(got, ["299 - \"unknown field \\\"spec.foo\\\"\"", "299 - \"b \""]);
    }
}
