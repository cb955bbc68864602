//! What a path asks for: the words of it first (authorization goes by them, whether anything is served there or
//! not), then the row of the kind table.

use gantry_kinds::{KindRef, Status, Subresource, table};
use gantry_view::View;
use http::Method;

use crate::Refusal;
use crate::query::{Query, decode};
use crate::write::body::Expected;

/// The words of a request, before anything is known to exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whether the path is one of the resource API.
    pub resource_request: bool,
    pub path: String,
    /// `get`, `list`, `watch`, `create`, ...; the HTTP method in lower case for other paths.
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// Words that no path of the resource API has: after the subresource, or namespaces in a namespace.
    pub rest: bool,
    /// The row of the kind, where anything is served there: of the table at first, of a definition once one was found.
    pub kind: Option<KindRef>,
}

/// A served resource or subresource.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint {
    pub kind: KindRef,
    pub subresource: Option<&'static Subresource>,
}

impl Endpoint {
    /// What the body of a create or update should be.
    pub(crate) fn body(self) -> Expected<'static> {
        let (kind, schema) = self.subresource.map_or((self.kind.kind, self.kind.schema), |s| (s.kind, s.schema));
        Expected { kind, schema }
    }
}

impl Asked {
    /// Reads method, path and query.
    pub(crate) fn read(method: &Method, path: &str, query: &Query) -> Self {
        let mut asked = Asked { path: path.to_owned(), verb: plain_verb(method), ..Asked::default() };
        let words: Vec<String> = path.split('/').filter(|w| !w.is_empty()).map(|w| decode(w, false)).collect();
        let mut words = words.into_iter().peekable();
        let (group, version) = match words.next().as_deref() {
            Some("api") => (Some(String::new()), words.next()),
            Some("apis") => (words.next(), words.next()),
            _ => return asked,
        };
        let (Some(group), Some(version), Some(_)) = (group, version, words.peek()) else { return asked };
        (asked.group, asked.version, asked.resource_request) = (group, version, true);
        asked.verb = resource_verb(method);
        let watch_prefix = words.peek().is_some_and(|w| w == "watch");
        if watch_prefix {
            words.next();
        }
        asked.read_resource(words);
        asked.settle_verb(query, watch_prefix);
        asked.kind = table::by_resource(&asked.group, &asked.version, &asked.resource);
        asked
    }

    /// Looks for the kind among the definitions too.
    pub(crate) fn find_kind(&mut self, view: &View) {
        if self.resource_request && self.kind.is_none() {
            self.kind = view.by_resource(&self.group, &self.version, &self.resource);
        }
    }

    fn read_resource(&mut self, words: impl Iterator<Item = String>) {
        let mut words: Vec<String> = words.collect();
        // `namespaces/x/status` is about the namespace, `namespaces/x/pods` about what is in it.
        let inside =
            words.len() > 2 && words[0] == "namespaces" && !["status", "finalize"].contains(&words[2].as_str());
        if inside {
            self.namespace = words.remove(1);
            words.remove(0);
        } else if words.len() > 1 && words[0] == "namespaces" {
            self.namespace = words[1].clone();
        }
        let mut words = words.into_iter();
        self.resource = words.next().unwrap_or_default();
        self.name = words.next().unwrap_or_default();
        self.subresource = words.next().unwrap_or_default();
        self.rest =
            (words.next().is_some() && self.subresource != "proxy") || (inside && self.resource == "namespaces");
    }

    fn settle_verb(&mut self, query: &Query, watch_prefix: bool) {
        if watch_prefix {
            self.verb = "watch";
        } else if self.name.is_empty() && self.verb == "get" {
            self.verb = if query.on("watch") { "watch" } else { "list" };
        } else if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection";
        }
    }

    /// The row that serves these words, or 404 and 405 as upstream has them.
    pub(crate) fn resolve(&self, view: &View) -> Result<Endpoint, Refusal> {
        let missing = || Box::new(Status::no_such_path());
        let kind = view.by_resource(&self.group, &self.version, &self.resource).ok_or_else(missing)?;
        let in_namespace = !self.namespace.is_empty() && self.resource != "namespaces";
        let whole_cluster = kind.namespaced && !in_namespace;
        if self.rest || (in_namespace && !kind.namespaced) || (whole_cluster && !self.name.is_empty()) {
            return Err(missing());
        }
        let subresource = match self.subresource.as_str() {
            "" => None,
            // wire: of a custom kind, what it does not have below an object is the object that is not there.
            name if kind.is_custom() && kind.subresource(name).is_none() => {
                return Err(Box::new(Status::not_found(kind, &self.name)));
            }
            name => Some(kind.subresource(name).ok_or_else(missing)?),
        };
        let verbs = subresource.map_or(kind.verbs, |s| s.verbs);
        let one = !self.name.is_empty();
        let fits = match self.verb {
            "create" => (one == subresource.is_some()) && !whole_cluster,
            "update" | "patch" => one,
            "deletecollection" => !whole_cluster,
            _ => true,
        };
        let proxied = self.verb == "options" && self.subresource == "proxy";
        if (fits && verbs.contains(&self.verb)) || proxied {
            Ok(Endpoint { kind, subresource })
        } else {
            Err(method_not_allowed())
        }
    }
}

/// 405 as upstream words it for every path.
pub(crate) fn method_not_allowed() -> Refusal {
    let message = "the server does not allow this method on the requested resource";
    Box::new(Status::new(405, "MethodNotAllowed", message))
}

fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

fn plain_verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "post",
        Method::GET => "get",
        Method::HEAD => "head",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, target: &str) -> Asked {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Asked::read(&method, path, &Query::parse(Some(query)))
    }

    fn check(method: Method, target: &str, expected: &str) {
        let a = ask(method, target);
        let got = [a.verb, &a.group, &a.version, &a.namespace, &a.resource, &a.name, &a.subresource].join("|");
        assert_eq!(got, expected, "{target}");
    }

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        check(Method::GET, "/api/v1/pods", "list||v1||pods||");
        check(Method::GET, "/api/v1/pods?watch=1", "watch||v1||pods||");
        check(Method::GET, "/api/v1/watch/namespaces/a/pods/p", "watch||v1|a|pods|p|");
        check(Method::GET, "/api/v1/namespaces/a", "get||v1|a|namespaces|a|");
        check(Method::PUT, "/api/v1/namespaces/a/finalize", "update||v1|a|namespaces|a|finalize");
        check(Method::GET, "/api/v1/namespaces/a/pods/p/log", "get||v1|a|pods|p|log");
        check(Method::DELETE, "/apis/apps/v1/namespaces/a/deployments", "deletecollection|apps|v1|a|deployments||");
        check(Method::POST, "/apis/apps/v1/namespaces/a%62/deployments", "create|apps|v1|ab|deployments||");
        for path in ["/api", "/apis/apps/v1", "/version", "/", "/api/v1/"] {
            assert!(!ask(Method::GET, path).resource_request, "{path}");
        }
    }

    #[test]
    fn what_is_not_served_is_404_or_405() {
        let code = |method: Method, target| ask(method, target).resolve(&View::new()).map_or_else(|s| s.code, |_| 200);
        assert_eq!(code(Method::GET, "/api/v1/namespaces/a/pods/p"), 200);
        assert_eq!(code(Method::GET, "/api/v1/pods/p"), 404);
        assert_eq!(code(Method::GET, "/api/v1/namespaces/a/nodes"), 404);
        assert_eq!(code(Method::GET, "/api/v1/namespaces/a/namespaces"), 404);
        assert_eq!(code(Method::GET, "/apis/apps/v9/deployments"), 404);
        assert_eq!(code(Method::GET, "/api/v1/namespaces/a/pods/p/nope"), 404);
        assert_eq!(code(Method::GET, "/api/v1/namespaces/a/pods/p/log/x"), 404);
        assert_eq!(code(Method::PUT, "/api/v1/namespaces/a/pods/p:80/proxy/x/y"), 200);
        assert_eq!(code(Method::OPTIONS, "/api/v1/nodes/n/proxy/x"), 200);
        assert_eq!(code(Method::OPTIONS, "/api/v1/nodes/n"), 405);
        assert_eq!(code(Method::POST, "/api/v1/namespaces/a/pods/p"), 405);
        assert_eq!(code(Method::POST, "/api/v1/pods"), 405);
        assert_eq!(code(Method::PUT, "/api/v1/namespaces"), 405);
        assert_eq!(code(Method::DELETE, "/api/v1/namespaces"), 405);
        assert_eq!(code(Method::PATCH, "/api/v1/namespaces/a/pods"), 405);
        assert_eq!(code(Method::GET, "/apis/authorization.k8s.io/v1/subjectaccessreviews"), 405);
    }
}
