//! Request bodies: read up to the limit, decoded by content type.

use bytes::Bytes;
use gantry_kinds::Status;
use gantry_registry::{Body, PatchKind};
use gantry_schema::Schema;
use gantry_schema::decode::{self, DecodeError, Decoded};
use gantry_schema::protobuf::{self, ProtobufError};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::Refusal;
use crate::limits::BODY_BYTES;

/// Bytes of a bad body that an error text quotes.
const QUOTED_BYTES: usize = 30;

/// Reads a whole body; 413 when it is too large.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Bytes, Refusal>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES as u64) {
        return Err(too_large());
    }
    match Limited::new(body, BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Box::new(Status::bad_request(format!("unable to read the body of the request: {error}")))),
    }
}

fn too_large() -> Refusal {
    let text = format!("Request entity too large: limit is {BODY_BYTES}");
    Box::new(Status::new(413, "RequestEntityTooLarge", text))
}

/// The media type of the body, without parameters, in lower case; empty when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a body should be: the kind, for messages, and its type in the schema.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub kind: &'a str,
    pub schema: &'a str,
}

/// Decodes an object.
pub(crate) fn object(headers: &HeaderMap, expected: Expected<'_>, bytes: &[u8]) -> Result<Body, Refusal> {
    decode_by_type(headers, expected.schema, bytes)?.map(into_body).map_err(|error| {
        bad_request(match error {
            Undecoded::Text(error) => decode::unrecognized(expected.kind, &error, bytes),
            Undecoded::Binary(error) => {
                let head: String = bytes.iter().take(QUOTED_BYTES).map(|b| format!("{b:02x}")).collect();
                format!("the object provided is unrecognized (must be of type {}): {error} ({head})", expected.kind)
            }
        })
    })
}

/// A body that is not what its content type says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecoded {
    #[error("couldn't get version/kind; json parse error: {0}")]
    Text(DecodeError),
    #[error("{0}")]
    Binary(ProtobufError),
}

/// Decodes by content type; 415 for types that are not understood. wire: no type means JSON.
pub(crate) fn decode_by_type(
    headers: &HeaderMap,
    schema: &str,
    bytes: &[u8],
) -> Result<Result<Decoded, Undecoded>, Refusal> {
    match media_type(headers).as_str() {
        "" | "application/json" => Ok(decode::json(bytes).map_err(Undecoded::Text)),
        "application/yaml" => Ok(decode::yaml(bytes).map_err(Undecoded::Text)),
        "application/vnd.kubernetes.protobuf" => {
            let value = protobuf::decode(Schema::builtin(), schema, bytes);
            Ok(value.map(|value| Decoded { value, ..Decoded::default() }).map_err(Undecoded::Binary))
        }
        _ => {
            let text = "the body of the request was in an unknown format - accepted media types include: \
                application/json, application/yaml, application/vnd.kubernetes.protobuf";
            Err(Box::new(Status::new(415, "UnsupportedMediaType", text)))
        }
    }
}

/// The kind of a patch; 415 for others.
pub(crate) fn patch_kind(headers: &HeaderMap) -> Result<PatchKind, Refusal> {
    match media_type(headers).as_str() {
        "application/json-patch+json" => Ok(PatchKind::Json),
        "application/merge-patch+json" => Ok(PatchKind::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchKind::Strategic),
        "application/apply-patch+yaml" => Ok(PatchKind::Apply),
        _ => Err(Box::new(Status::new(415, "UnsupportedMediaType", "415: Unsupported Media Type"))),
    }
}

/// Decodes a patch.
pub(crate) fn patch(kind: PatchKind, bytes: &[u8]) -> Result<Body, Refusal> {
    if kind != PatchKind::Apply {
        return decode::json(bytes).map(into_body).map_err(|_| bad_request("invalid JSON patch".to_owned()));
    }
    let decoded = decode::yaml(bytes)
        .map_err(|error| bad_request(format!("error decoding patch: error converting YAML to JSON: {error}")))?;
    if decoded.value.is_object() {
        return Ok(into_body(decoded));
    }
    let what = go_kind(&decoded.value);
    let why = format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
    Err(bad_request(format!("error decoding patch: error unmarshaling JSON: while decoding JSON: {why}")))
}

fn go_kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        _ => "object",
    }
}

fn into_body(decoded: Decoded) -> Body {
    Body { value: decoded.value, duplicates: decoded.duplicates, shadowed: decoded.shadowed }
}

fn bad_request(message: String) -> Refusal {
    Box::new(Status::bad_request(message))
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn typed(media: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !media.is_empty() {
            headers.insert(CONTENT_TYPE, media.parse().unwrap());
        }
        headers
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413() {
        let status = |length: usize| async move {
            let body = Full::new(Bytes::from(vec![b' '; length]));
            read(&HeaderMap::new(), body).await.map_or_else(|s| (s.code, s.message), |b| (200, b.len().to_string()))
        };
        assert_eq!(status(BODY_BYTES).await, (200, "3145728".to_owned()));
        assert_eq!(status(BODY_BYTES + 1).await, (413, "Request entity too large: limit is 3145728".to_owned()));
    }

    #[test]
    fn bodies_are_decoded_by_type() {
        let check = |media: &str, body: &[u8], expected: Result<i64, u16>| {
            let expected_type = Expected { kind: "Pod", schema: "io.k8s.api.core.v1.Pod" };
            let got =
                object(&typed(media), expected_type, body).map(|b| b.value["a"].as_i64().unwrap()).map_err(|s| s.code);
            assert_eq!(got, expected, "{media}");
        };
        check("", b"{\"a\":1}", Ok(1));
        check("application/json; charset=utf-8", b"{\"a\":1}", Ok(1));
        check("application/yaml", b"a: 1\n", Ok(1));
        check("application/vnd.kubernetes.protobuf", b"x", Err(400));
        check("application/xml", b"<a/>", Err(415));
        check("application/json", b"{bad", Err(400));
    }

    #[test]
    fn patches_are_decoded_by_type() {
        assert_eq!(patch_kind(&typed("application/apply-patch+yaml")), Ok(PatchKind::Apply));
        assert_eq!(
            patch_kind(&typed("application/apply-patch+cbor")).unwrap_err().message,
            "415: Unsupported Media Type"
        );
        assert_eq!(patch(PatchKind::Merge, b"{bad").unwrap_err().message, "invalid JSON patch");
        let scalar = patch(PatchKind::Apply, b"a").unwrap_err().message;
        assert!(scalar.ends_with("cannot unmarshal string into Go value of type map[string]interface {}"), "{scalar}");
    }
}
