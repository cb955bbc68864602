//! Backups in a bucket of S3 or of what speaks its language, with path-style addresses and signatures of version 4.
//!
//! An object appears whole, under its name, with the last request of its upload; an upload that fails is given up.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rusty_s3::actions::{CreateMultipartUpload, ListObjectsV2};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{Listed, http as wire, is_backup_name};
use crate::BackupError;
use crate::limits::{
    HEADER_BYTES, LISTED_MAX, S3_ATTEMPTS, S3_PART_BYTES, S3_PARTS_MAX, S3_PAUSE, S3_REQUEST, S3_SIGNATURE,
};
use crate::manifest::Manifest;
use crate::seal::{BackupFile, check_length};

/// How to reach S3, and as whom.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Access {
    /// URL of the service; Amazon's by default.
    pub endpoint: Option<String>,
    /// Region; us-east-1 by default.
    pub region: Option<String>,
    /// Access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Token of a temporary access.
    pub session_token: Option<String>,
}

impl S3Access {
    /// What the usual variables say (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`), read with `variable`.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        S3Access {
            endpoint: text("AWS_ENDPOINT_URL"),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            access_key: text("AWS_ACCESS_KEY_ID").unwrap_or_default(),
            secret_key: text("AWS_SECRET_ACCESS_KEY").unwrap_or_default(),
            session_token: text("AWS_SESSION_TOKEN"),
        }
    }
}

/// A bucket, or what is below a prefix of it.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
}

/// A request, made anew for each attempt, for its signature holds for a while only.
struct Ask<'a> {
    operation: String,
    method: Method,
    url: &'a (dyn Fn() -> String + Sync),
    headers: HeaderMap,
    body: Bytes,
}

impl S3 {
    /// `BUCKET` or `BUCKET/PREFIX`. Errors: `Place`.
    pub fn new(path: &str, access: &S3Access) -> Result<Self, BackupError> {
        let (name, prefix) = path.split_once('/').unwrap_or((path, ""));
        let wrong = |why: String| BackupError::Place(format!("s3://{path}: {why}"));
        if name.is_empty() {
            return Err(wrong("name a bucket: s3://BUCKET/PREFIX".to_owned()));
        }
        if access.access_key.is_empty() || access.secret_key.is_empty() {
            return Err(wrong("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()));
        }
        let region = access.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = access.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = endpoint.parse().map_err(|error| wrong(format!("the endpoint {endpoint:?}: {error}")))?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), region);
        let bucket = bucket.map_err(|error| wrong(error.to_string()))?;
        let (key, secret) = (access.access_key.clone(), access.secret_key.clone());
        let credentials = match &access.session_token {
            Some(token) => Credentials::new_with_token(key, secret, token.clone()),
            None => Credentials::new(key, secret),
        };
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(S3 { bucket, credentials, prefix })
    }

    /// `s3://BUCKET/PREFIX`.
    pub fn describe(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    pub(super) async fn keep(&self, file: File, manifest: &Manifest) -> Result<(), BackupError> {
        let (name, size) = (manifest.file_name(), manifest.size_bytes());
        let key = format!("{}{name}", self.prefix);
        if size <= S3_PART_BYTES {
            let url = || self.bucket.put_object(Some(&self.credentials), &key).sign(S3_SIGNATURE).to_string();
            let body = read_part(&file, 0, size)?;
            self.ask(&Ask { body, ..self.plain("upload", &name, Method::PUT, &url) }).await?;
        } else {
            self.keep_in_parts(&file, &name, &key, size).await?;
        }
        let (stored, length) = self.header(&name).await?;
        check_length(&name, &stored, length)?;
        if stored == *manifest { Ok(()) } else { Err(BackupError::damaged(&name, "the storage holds another header")) }
    }

    async fn keep_in_parts(&self, file: &File, name: &str, key: &str, size: u64) -> Result<(), BackupError> {
        let url = || self.bucket.create_multipart_upload(Some(&self.credentials), key).sign(S3_SIGNATURE).to_string();
        let answer = self.text(&self.plain("begin the upload of", name, Method::POST, &url)).await?;
        let upload = CreateMultipartUpload::parse_response(&answer);
        let upload = upload.map_err(|error| self.failed("begin the upload of", name, error.to_string(), 0))?;
        let result = self.upload_parts(file, name, key, size, upload.upload_id()).await;
        if result.is_err() {
            let id = upload.upload_id();
            let url =
                || self.bucket.abort_multipart_upload(Some(&self.credentials), key, id).sign(S3_SIGNATURE).to_string();
            if let Err(error) = self.ask(&self.plain("give up the upload of", name, Method::DELETE, &url)).await {
                tracing::warn!(%error, "parts of a failed upload may be left in the bucket");
            }
        }
        result
    }

    async fn upload_parts(&self, file: &File, name: &str, key: &str, size: u64, id: &str) -> Result<(), BackupError> {
        let part_bytes = S3_PART_BYTES.max(size.div_ceil(S3_PARTS_MAX));
        let mut tags = Vec::new();
        for (number, at) in (1_u16..).zip((0..size).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX))) {
            let url = || {
                let part = self.bucket.upload_part(Some(&self.credentials), key, number, id);
                part.sign(S3_SIGNATURE).to_string()
            };
            let body = read_part(file, at, part_bytes.min(size - at))?;
            let answer = self.ask(&Ask { body, ..self.plain("upload a part of", name, Method::PUT, &url) }).await?;
            let tag = answer.headers().get(http::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
            tags.push(tag.ok_or_else(|| self.failed("upload a part of", name, "no ETag came back".to_owned(), 200))?);
        }
        let complete = || {
            let tags = tags.iter().map(String::as_str);
            self.bucket.complete_multipart_upload(Some(&self.credentials), key, id, tags)
        };
        let url = || complete().sign(S3_SIGNATURE).to_string();
        let ask =
            Ask { body: complete().body().into(), ..self.plain("finish the upload of", name, Method::POST, &url) };
        let answer = self.text(&ask).await?;
        // wire: a failure may come with the status 200, when the service began to answer before it knew.
        if answer.contains("<Error>") {
            return Err(self.failed("finish the upload of", name, words(&answer), 200));
        }
        Ok(())
    }

    pub(super) async fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let url = || {
                let mut list = self.bucket.list_objects_v2(Some(&self.credentials));
                list.with_prefix(self.prefix.as_str());
                if let Some(token) = &token {
                    list.with_continuation_token(token.as_str());
                }
                list.sign(S3_SIGNATURE).to_string()
            };
            let answer = self.text(&self.plain("list", "", Method::GET, &url)).await?;
            let page = ListObjectsV2::parse_response(&answer);
            let page = page.map_err(|error| self.failed("list", "", error.to_string(), 200))?;
            for object in page.contents {
                let name = object.key.strip_prefix(&self.prefix).unwrap_or_default();
                if is_backup_name(name) {
                    names.push((name.to_owned(), object.size.unwrap_or_default()));
                }
            }
            token = page.next_continuation_token;
            if token.is_none() || names.len() >= LISTED_MAX {
                break;
            }
        }
        let mut all = Vec::with_capacity(names.len());
        for (name, size_bytes) in names {
            let found = match self.header(&name).await {
                Ok((manifest, length)) => check_length(&name, &manifest, length).map(|()| manifest),
                Err(error) => Err(error),
            };
            all.push(Listed { name, size_bytes, found });
        }
        Ok(all)
    }

    /// The header of a backup, and the bytes that it has.
    async fn header(&self, name: &str) -> Result<(Manifest, u64), BackupError> {
        let key = format!("{}{name}", self.prefix);
        let url = || self.bucket.get_object(Some(&self.credentials), &key).sign(S3_SIGNATURE).to_string();
        let mut ask = self.plain("read", name, Method::GET, &url);
        let range = format!("bytes=0-{}", HEADER_BYTES - 1);
        ask.headers.insert(RANGE, HeaderValue::from_str(&range).unwrap_or(HeaderValue::from_static("bytes=0-4095")));
        let answer = match self.ask(&ask).await {
            // What is empty has no range.
            Err(BackupError::S3 { code: 416, .. }) => {
                return Err(BackupError::NotABackup { name: name.to_owned() });
            }
            answer => answer?,
        };
        let number =
            |name: http::HeaderName| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let whole = number(http::header::CONTENT_RANGE).and_then(|range| range.rsplit('/').next()?.parse().ok());
        let whole = whole.or_else(|| number(CONTENT_LENGTH)?.parse().ok()).unwrap_or_default();
        let mut block = Vec::with_capacity(HEADER_BYTES);
        let mut body = answer.into_body();
        while block.len() < HEADER_BYTES {
            let Some(piece) = self.piece(&mut body, name).await? else { break };
            block.extend_from_slice(&piece);
        }
        block.truncate(HEADER_BYTES);
        Ok((Manifest::decode(name, &block)?, whole))
    }

    pub(super) async fn fetch(&self, name: &str) -> Result<BackupFile, BackupError> {
        let key = format!("{}{name}", self.prefix);
        let url = || self.bucket.get_object(Some(&self.credentials), &key).sign(S3_SIGNATURE).to_string();
        let mut attempt = 1;
        let file = loop {
            match self.download(&self.plain("read", name, Method::GET, &url), name).await {
                Err(BackupError::S3 { code: 0, .. }) if attempt < S3_ATTEMPTS => attempt += 1,
                done => break done?,
            }
        };
        BackupFile::new(&format!("{}{name}", self.describe()), file)
    }

    async fn download(&self, ask: &Ask<'_>, name: &str) -> Result<File, BackupError> {
        let mut body = self.ask(ask).await?.into_body();
        let mut file = tempfile::tempfile().map_err(BackupError::io("making a temporary file"))?;
        while let Some(piece) = self.piece(&mut body, name).await? {
            file.write_all(&piece).map_err(BackupError::io("writing a temporary file"))?;
        }
        Ok(file)
    }

    async fn piece(&self, body: &mut Incoming, name: &str) -> Result<Option<Bytes>, BackupError> {
        loop {
            let broken = |cause: String| self.failed("read", name, cause, 0);
            let frame = timeout(S3_REQUEST, body.frame()).await.map_err(|_| broken("it broke off".to_owned()))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), BackupError> {
        let key = format!("{}{name}", self.prefix);
        let url = || self.bucket.delete_object(Some(&self.credentials), &key).sign(S3_SIGNATURE).to_string();
        self.ask(&self.plain("remove", name, Method::DELETE, &url)).await.map(drop)
    }

    fn plain<'a>(&self, doing: &str, name: &str, method: Method, url: &'a (dyn Fn() -> String + Sync)) -> Ask<'a> {
        let operation = format!("{doing} {}{name}", self.describe());
        Ask { operation, method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    fn failed(&self, doing: &str, name: &str, cause: String, code: u16) -> BackupError {
        BackupError::S3 { operation: format!("{doing} {}{name}", self.describe()), cause, code }
    }

    async fn text(&self, ask: &Ask<'_>) -> Result<String, BackupError> {
        let answer = self.ask(ask).await?;
        let broken = |cause| BackupError::S3 { operation: ask.operation.clone(), cause, code: 0 };
        wire::read_text(answer.into_body()).await.map_err(broken)
    }

    /// Asks until there is an answer that another attempt would not change, a bounded number of times.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Response<Incoming>, BackupError> {
        let mut pause = S3_PAUSE;
        let mut attempt = 1;
        loop {
            let sent = wire::send(ask.method.clone(), &(ask.url)(), ask.headers.clone(), ask.body.clone()).await;
            let (cause, code) = match sent {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => {
                    let code = answer.status().as_u16();
                    let text = wire::read_text(answer.into_body()).await.unwrap_or_default();
                    (format!("{code} {}", words(&text)), code)
                }
                Err(cause) => (cause, 0),
            };
            let again = code == 0 || code == 408 || code == 429 || code >= 500;
            if !again || attempt == S3_ATTEMPTS {
                return Err(BackupError::S3 { operation: ask.operation.clone(), cause, code });
            }
            tracing::info!(operation = ask.operation, cause, "asking again");
            sleep(pause).await;
            (attempt, pause) = (attempt + 1, pause * 2);
        }
    }
}

fn read_part(file: &File, at: u64, length: u64) -> Result<Bytes, BackupError> {
    let mut part = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut part, at).map_err(BackupError::io("reading the draft"))?;
    Ok(part.into())
}

/// Code and message of S3's errors.
fn words(xml: &str) -> String {
    let inner = |tag: &str| {
        let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let found: Vec<String> = [inner("Code"), inner("Message")].into_iter().flatten().collect();
    found.join(": ")
}
