//! What requests and responses are made of.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::ClientError;
use crate::connection::causes;
use crate::limits::BODY_SILENCE;

/// How a patch is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            PatchKind::Json => "application/json-patch+json",
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            PatchKind::Apply => "application/apply-patch+yaml",
        }
    }
}

/// A path with parts of a query, empty ones left out.
pub(crate) fn join_query(path: &str, parts: &[&str]) -> String {
    let mut joined = path.to_owned();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        joined.push(if joined.contains('?') { '&' } else { '?' });
        joined.push_str(part);
    }
    joined
}

/// A value as it may stand in a query.
pub fn encode_query(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// A body that is read piece by piece.
pub struct BodyReader {
    body: Incoming,
    operation: String,
}

impl BodyReader {
    pub(crate) fn new(body: Incoming, operation: String) -> Self {
        BodyReader { body, operation }
    }

    /// The next piece; `None` at the end. Waits as long as the connection lives; nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    let (operation, cause) = (self.operation.clone(), causes(&error));
                    return Err(ClientError::Interrupted { operation, cause });
                }
            }
        }
    }

    /// Everything, unless it is too much or takes too long.
    pub(crate) async fn read_whole(mut self, limit: usize) -> Result<Bytes, ClientError> {
        let mut whole = BytesMut::new();
        loop {
            let next = tokio::time::timeout(BODY_SILENCE, self.next()).await;
            let seconds = BODY_SILENCE.as_secs();
            match next.map_err(|_| ClientError::Timeout { operation: self.operation.clone(), seconds })?? {
                None => return Ok(whole.freeze()),
                Some(piece) if whole.len() + piece.len() > limit => {
                    let cause = format!("more than {limit} bytes");
                    return Err(ClientError::Unexpected { operation: self.operation, cause });
                }
                Some(piece) => whole.extend_from_slice(&piece),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_joined_and_encoded() {
        let check = |path, parts: &[&str], expected| assert_eq!(join_query(path, parts), expected);
        check("/a", &[], "/a");
        check("/a", &["", "limit=1", ""], "/a?limit=1");
        check("/a?x=y", &["limit=1", "b=c"], "/a?x=y&limit=1&b=c");
        assert_eq!(encode_query("a=b&c d/ü~"), "a%3Db%26c%20d%2F%C3%BC~");
    }
}
