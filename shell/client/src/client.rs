//! Requests.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::watch::Watch;
use crate::{BodyReader, ClientError, Connected, Endpoint, ExecSession, PatchKind};

/// A handle on one server; clones share its connection.
#[derive(Clone)]
pub struct Client {}

fn unavailable<T>() -> Result<T, ClientError> {
    Err(ClientError::Connect { server: String::new(), cause: String::new() })
}

impl Client {
    /// A client of an endpoint; connects with the first request.
    pub fn new(_endpoint: Endpoint) -> Result<Self, ClientError> {
        unavailable()
    }
    /// A client from a kubeconfig file and one of its contexts (the current one if `None`).
    pub fn from_kubeconfig(_path: &Path, _context: Option<&str>) -> Result<Self, ClientError> {
        unavailable()
    }
    /// Reads an object or a list.
    pub async fn get(&self, _path: &str) -> Result<Value, ClientError> {
        unavailable()
    }
    /// Reads a list in pages, as one.
    pub async fn list(&self, _path: &str, _query: &str) -> Result<Value, ClientError> {
        unavailable()
    }
    /// POST of an object to its collection or a subresource.
    pub async fn create(&self, _path: &str, _object: &Value) -> Result<Value, ClientError> {
        unavailable()
    }
    /// PUT of a whole object.
    pub async fn update(&self, _path: &str, _object: &Value) -> Result<Value, ClientError> {
        unavailable()
    }
    /// PATCH; `path` may carry a query such as `?fieldManager=..&force=true`.
    pub async fn patch(&self, _path: &str, _kind: PatchKind, _patch: &Value) -> Result<Value, ClientError> {
        unavailable()
    }
    /// DELETE, with DeleteOptions if given.
    pub async fn delete(&self, _path: &str, _options: Option<&Value>) -> Result<Value, ClientError> {
        unavailable()
    }
    /// Any request, read whole, whatever the server's code: code, headers, body.
    pub async fn send(
        &self,
        _method: Method,
        _path: &str,
        _headers: HeaderMap,
        _body: Bytes,
    ) -> Result<http::Response<Bytes>, ClientError> {
        unavailable()
    }
    /// A GET whose body is read piece by piece (`pods/log?follow=true`).
    pub async fn stream(&self, _path: &str) -> Result<BodyReader, ClientError> {
        unavailable()
    }
    /// Follows a collection for ever; `query` holds selectors, without the leading `?`.
    pub fn watch(&self, path: &str, query: &str) -> Watch {
        Watch::start(self.clone(), path, query)
    }
    /// Upgrades a new HTTP/1.1 connection to `protocol`: the response's headers and the raw connection.
    pub async fn upgrade(
        &self,
        _method: Method,
        _path: &str,
        _headers: HeaderMap,
        _protocol: &str,
    ) -> Result<(HeaderMap, Connected), ClientError> {
        unavailable()
    }
    /// Starts a remote command: `path` is that of `pods/exec` or `pods/attach` with its query.
    pub async fn exec(&self, _path: &str) -> Result<ExecSession, ClientError> {
        unavailable()
    }
}
