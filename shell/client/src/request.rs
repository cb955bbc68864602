//! What requests are made of.

use bytes::Bytes;

use crate::ClientError;

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

/// A body that is read piece by piece.
pub struct BodyReader {
    body: hyper::body::Incoming,
    operation: String,
}

impl BodyReader {
    pub(crate) fn new(body: hyper::body::Incoming, operation: String) -> Self {
        BodyReader { body, operation }
    }

    /// The next piece; `None` at the end. Waits as long as the connection lives.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        use http_body_util::BodyExt;
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    let (operation, cause) = (self.operation.clone(), error.to_string());
                    return Err(ClientError::Interrupted { operation, cause });
                }
            }
        }
    }
}
