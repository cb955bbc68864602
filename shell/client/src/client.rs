//! Requests.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Skew;
use crate::connection::causes;
use crate::credentials::wrong;
use crate::limits::{BODY_BYTES, LIST_ATTEMPTS, PAGE_OBJECTS, REFUSAL_BYTES};
use crate::request::{encode_query, join_query};
use crate::servers::Servers;
use crate::watch::Watch;
use crate::{BodyReader, ClientError, Connected, Endpoint, ExecSession, Kubeconfig, PatchKind, Refused};

const JSON: &str = "application/json";

/// A handle on the servers of one cluster; clones share their connections.
#[derive(Clone)]
pub struct Client {
    servers: Arc<Servers>,
}

impl Client {
    /// A client of an endpoint; connects with the first request.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let given = vec![endpoint.server.clone()];
        Self::of_servers("", endpoint, given)
    }

    /// A client of several servers of one cluster, at the URLs `given` and those that it is told of later. Clients
    /// of different names prefer different servers. `endpoint` says how they are reached; its own address counts
    /// only where it is given.
    pub fn of_servers(name: &str, endpoint: Endpoint, given: Vec<String>) -> Result<Self, ClientError> {
        if given.is_empty() {
            return Err(wrong("servers", "none is given"));
        }
        Ok(Client { servers: Arc::new(Servers::new(name, endpoint, given)?) })
    }

    /// A client from a kubeconfig file and one of its contexts (the current one if `None`).
    pub fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<Self, ClientError> {
        Self::new(Kubeconfig::load(path)?.endpoint(context)?)
    }

    /// The same client, but of one of its servers alone; `None` where the server is not known (any more).
    pub fn at(&self, server: &str) -> Option<Self> {
        self.servers.find(server).map(|transport| Client { servers: Arc::new(Servers::only(transport)) })
    }

    /// These are all servers that live now, beside those that were given.
    pub fn learn_servers(&self, urls: &[String]) {
        self.servers.learn(urls);
    }

    /// The URLs of all servers that are known, the preferred one first, now and whenever that changes.
    pub fn servers(&self) -> watch::Receiver<Vec<String>> {
        self.servers.list()
    }

    /// The URL of the server in use.
    pub fn server(&self) -> String {
        self.servers.current().url().to_owned()
    }

    /// How far this machine's clock is from the server's; `None` before the first answer.
    pub fn clock_skew(&self) -> Option<Skew> {
        self.servers.current().skew()
    }

    /// Reads an object or a list.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.json(Method::GET, path, JSON, Bytes::new()).await
    }

    /// Reads a list in pages, as one. `query` holds selectors, without the leading `?`.
    pub async fn list(&self, path: &str, query: &str) -> Result<Value, ClientError> {
        for _ in 0..LIST_ATTEMPTS {
            match self.list_pages(path, query, PAGE_OBJECTS).await {
                Err(error) if error.code() == 410 => {}
                result => return result,
            }
        }
        // Pages expire faster than they are read: one page, then.
        self.list_pages(path, query, 0).await
    }

    async fn list_pages(&self, path: &str, query: &str, limit: usize) -> Result<Value, ClientError> {
        let mut token = String::new();
        let mut items = Vec::new();
        loop {
            let limit = if limit > 0 { format!("limit={limit}") } else { String::new() };
            let page = if token.is_empty() { String::new() } else { format!("continue={}", encode_query(&token)) };
            let mut list = self.get(&join_query(path, &[query, &limit, &page])).await?;
            match list.get_mut("items").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                Some(Value::Null) => {}
                _ => return Err(unexpected(&Method::GET, path, "not a list")),
            }
            token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                list["items"] = Value::Array(items);
                return Ok(list);
            }
        }
    }

    /// POST of an object to its collection or a subresource.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, ClientError> {
        self.json(Method::POST, path, JSON, object.to_string().into()).await
    }

    /// PUT of a whole object.
    pub async fn update(&self, path: &str, object: &Value) -> Result<Value, ClientError> {
        self.json(Method::PUT, path, JSON, object.to_string().into()).await
    }

    /// PATCH; `path` may carry a query such as `?fieldManager=..&force=true`.
    pub async fn patch(&self, path: &str, kind: PatchKind, patch: &Value) -> Result<Value, ClientError> {
        self.json(Method::PATCH, path, kind.content_type(), patch.to_string().into()).await
    }

    /// DELETE, with DeleteOptions if given.
    pub async fn delete(&self, path: &str, options: Option<&Value>) -> Result<Value, ClientError> {
        let body = options.map_or(Bytes::new(), |options| options.to_string().into());
        self.json(Method::DELETE, path, JSON, body).await
    }

    /// Any request, read whole, whatever the server's code: code, headers, body.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, ClientError> {
        let operation = operation(&method, path);
        let request = self.request(method, path, headers, Full::new(body))?;
        let (head, body) = self.deliver(request, &operation).await?.into_parts();
        let body = BodyReader::new(body, operation).read_whole(BODY_BYTES).await?;
        Ok(Response::from_parts(head, body))
    }

    /// A GET whose body is read piece by piece (`pods/log?follow=true`).
    pub async fn stream(&self, path: &str) -> Result<BodyReader, ClientError> {
        let operation = operation(&Method::GET, path);
        let request = self.request(Method::GET, path, HeaderMap::new(), Full::default())?;
        let response = self.deliver(request, &operation).await?;
        if response.status().is_success() {
            return Ok(BodyReader::new(response.into_body(), operation));
        }
        Err(refusal(response, operation).await)
    }

    /// Follows a collection for ever; `query` holds selectors, without the leading `?`. Needs a tokio runtime.
    pub fn watch(&self, path: &str, query: &str) -> Watch {
        Watch::start(self.clone(), path, query)
    }

    /// Upgrades a new HTTP/1.1 connection to `protocol`: the response's headers and the raw connection.
    pub async fn upgrade(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        protocol: &str,
    ) -> Result<(HeaderMap, Connected), ClientError> {
        let operation = operation(&method, path);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_str(protocol).map_err(|error| wrong("protocol", error))?);
        let request = self.request(method, path, headers, Empty::new())?;
        let response = self.servers.current().upgrade(request, &operation).await?;
        if response.status() != 101 {
            return Err(refusal(response, operation).await);
        }
        let headers = response.headers().clone();
        match hyper::upgrade::on(response).await {
            Ok(upgraded) => Ok((headers, Connected::new(upgraded))),
            Err(error) => Err(ClientError::Interrupted { operation, cause: causes(&error) }),
        }
    }

    /// Starts a remote command: `path` is that of `pods/exec` or `pods/attach` with its query.
    pub async fn exec(&self, path: &str) -> Result<ExecSession, ClientError> {
        crate::exec::start(self, path).await
    }

    async fn json(&self, method: Method, path: &str, kind: &str, body: Bytes) -> Result<Value, ClientError> {
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).map_err(|error| wrong("media type", error))?);
        }
        let response = self.send(method.clone(), path, headers, body).await?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            return Err(refused(head.status.as_u16(), &body));
        }
        serde_json::from_slice(&body).map_err(|error| unexpected(&method, path, error))
    }

    async fn deliver(&self, request: Request<Full<Bytes>>, operation: &str) -> Result<Response<Incoming>, ClientError> {
        crate::deliver::deliver(&self.servers, request, operation).await
    }

    fn request<B>(&self, method: Method, path: &str, headers: HeaderMap, body: B) -> Result<Request<B>, ClientError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| wrong(&format!("path {path:?}"), error))?;
        *request.headers_mut() = headers;
        let endpoint = self.servers.endpoint();
        let headers = request.headers_mut();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(JSON));
        if let Ok(agent) = HeaderValue::from_str(&endpoint.user_agent) {
            headers.insert(USER_AGENT, agent);
        }
        if let Some(authorization) = endpoint.authorization()? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(request)
    }
}

fn operation(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

pub(crate) fn unexpected(method: &Method, path: &str, cause: impl std::fmt::Display) -> ClientError {
    ClientError::Unexpected { operation: operation(method, path), cause: cause.to_string() }
}

/// The refusal in a response whose body is still to be read.
async fn refusal(response: Response<Incoming>, operation: String) -> ClientError {
    let code = response.status().as_u16();
    let body = BodyReader::new(response.into_body(), operation).read_whole(REFUSAL_BYTES).await;
    refused(code, &body.unwrap_or_default())
}

fn refused(code: u16, body: &[u8]) -> ClientError {
    let status = match serde_json::from_slice::<Value>(body) {
        Ok(status) if status["kind"] == "Status" => status,
        // Not the API: a proxy, or something that is no API server at all.
        _ => json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
                    "message": String::from_utf8_lossy(body).trim()}),
    };
    ClientError::Refused(Box::new(Refused { code, status }))
}
