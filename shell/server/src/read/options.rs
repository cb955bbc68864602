//! `metav1.ListOptions`: what a list, a watch or a deletecollection selects, and as of when.

use std::time::Duration;

use gantry_cluster::Topic;
use gantry_kinds::{Cause, FieldError, FieldSelector, KindRef, LabelSelector, Path, Status};
use gantry_view::{Object, ObjectKey};
use serde_json::Value;

use crate::Refusal;
use crate::query::Query;
use crate::read::token::Token;
use crate::route::Asked;

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Match {
    #[default]
    Unset,
    Exact,
    NotOlderThan,
}

/// Which objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selection {
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_empty()
    }

    /// What a watcher of these objects must be told of: all that can match, and as little else as feeds are found by.
    pub(crate) fn topic(&self, kind: KindRef, namespace: Option<&str>) -> Topic {
        let kind = kind.home();
        let named = self.fields.exact("metadata.name").filter(|_| !kind.namespaced || namespace.is_some());
        if let Some(name) = named {
            return Topic::Object(ObjectKey::new(kind, namespace.unwrap_or_default(), name));
        }
        let of_field = |(path, _): &(&str, _)| Topic::field(kind, path, self.fields.exact(path)?);
        let wide = || namespace.map_or(Topic::Kind(kind), |namespace| Topic::Namespace(kind, namespace.into()));
        kind.selectable.iter().find_map(of_field).unwrap_or_else(wide)
    }

    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.labels.matches(&object.header.labels)
            && (self.fields.is_empty() || self.fields.matches(|path| object.selected(path)))
    }
}

/// The options of a list, a watch or a deletecollection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub selection: Selection,
    /// 0 for all.
    pub limit: usize,
    pub token: Option<Token>,
    /// `resourceVersion` as text; empty when not given.
    pub revision: String,
    pub matching: Match,
    pub timeout: Option<Duration>,
    pub bookmarks: bool,
    pub initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the options.
    pub(crate) fn read(kind: KindRef, asked: &Asked, query: &Query) -> Result<Self, Refusal> {
        let watch = asked.verb == "watch";
        let limit = query.integer("limit")?.unwrap_or(0);
        let timeout = query.integer("timeoutSeconds")?;
        let labels = LabelSelector::parse(query.text("labelSelector").unwrap_or_default()).map_err(bad_request)?;
        let fields = fields(kind, asked, query)?;
        let revision = query.text("resourceVersion").unwrap_or_default().to_owned();
        let mode = Mode {
            watch,
            revision: &revision,
            matching: query.text("resourceVersionMatch").unwrap_or_default(),
            initial_events: query.switch("sendInitialEvents"),
            continued: query.text("continue").is_some() && !watch,
        };
        let matching = mode.check()?;
        let token = query.text("continue").filter(|_| !watch).map(Token::decode).transpose()?;
        if token.is_some() && !revision.is_empty() && revision != "0" {
            return Err(bad_request("specifying resource version is not allowed when using continue".to_owned()));
        }
        Ok(ListOptions {
            selection: Selection { labels, fields },
            // wire: what may be of any age comes whole.
            limit: if revision == "0" && token.is_none() { 0 } else { usize::try_from(limit).unwrap_or(0) },
            token,
            initial_events: mode.initial_events,
            matching,
            timeout: timeout.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0).map(Duration::from_secs),
            bookmarks: query.on("allowWatchBookmarks"),
            revision,
        })
    }

    /// `resourceVersion` as a number; `None` when it is not given.
    pub(crate) fn revision(&self) -> Result<Option<u64>, Refusal> {
        if self.revision.is_empty() {
            return Ok(None);
        }
        let refused = |text| Box::new(Status::bad_request(format!("invalid resource version: {text}")));
        parse_revision(&self.revision).map(Some).map_err(refused)
    }
}

/// A resourceVersion as a number, or Go's words about it.
pub(crate) fn parse_revision(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
    })
}

/// 504 for a revision that is still to come.
pub(crate) fn too_large(revision: u64, current: u64) -> Refusal {
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let mut status = Status::new(504, "Timeout", message);
    status.causes = vec![Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    }];
    status.retry_after_seconds = 1;
    Box::new(status)
}

/// 422 about options that are no object, such as `ListOptions` or `CreateOptions`.
pub(crate) fn invalid_options(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Refusal {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let joined = if let [one] = texts.as_slice() { one.clone() } else { format!("[{}]", texts.join(", ")) };
    let subject = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut status = Status::new(422, "Invalid", format!("{subject} {name:?} is invalid: {joined}"));
    status.group = group.to_owned();
    status.kind = kind.to_owned();
    status.name = name.to_owned();
    status.causes = errors
        .iter()
        .map(|e| Cause { reason: e.reason.to_owned(), message: e.message.clone(), field: e.path.to_string() })
        .collect();
    Box::new(status)
}

fn bad_request(message: String) -> Refusal {
    Box::new(Status::bad_request(message))
}

fn fields(kind: KindRef, asked: &Asked, query: &Query) -> Result<FieldSelector, Refusal> {
    let mut text = query.text("fieldSelector").unwrap_or_default().to_owned();
    if !asked.name.is_empty() {
        // The watch path of one object.
        text = format!("metadata.name={}", asked.name);
    }
    let fields = FieldSelector::parse(&text).map_err(bad_request)?;
    for term in fields.requirements() {
        let path = term.field.as_str();
        if !kind.supports_field(path) {
            return Err(bad_request(unknown_field(kind, path)));
        }
    }
    Ok(fields)
}

/// wire: kinds with selectable fields of their own say it in other words than those without.
fn unknown_field(kind: KindRef, path: &str) -> String {
    if kind.selectable.is_empty() && !kind.is_custom() {
        return format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
    }
    format!("field label not supported: {path}")
}

/// The options that depend on each other.
struct Mode<'a> {
    watch: bool,
    revision: &'a str,
    matching: &'a str,
    initial_events: Option<bool>,
    continued: bool,
}

impl Mode<'_> {
    fn check(&self) -> Result<Match, Refusal> {
        let errors = if self.watch { self.errors_of_watch() } else { self.errors_of_list() };
        if !errors.is_empty() {
            return Err(invalid_options("meta.k8s.io", "ListOptions", "", &errors));
        }
        Ok(match self.matching {
            "Exact" => Match::Exact,
            "NotOlderThan" => Match::NotOlderThan,
            _ => Match::Unset,
        })
    }

    fn errors_of_list(&self) -> Vec<FieldError> {
        let at = Path::new("resourceVersionMatch");
        let mut errors = Vec::new();
        if !self.matching.is_empty() {
            if self.revision.is_empty() {
                let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                errors.push(FieldError::forbidden(&at, detail));
            }
            if self.continued {
                errors.push(FieldError::forbidden(&at, CONTINUED));
            }
            if self.matching == "Exact" && self.revision == "0" {
                let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(FieldError::forbidden(&at, detail));
            }
            if !["Exact", "NotOlderThan"].contains(&self.matching) {
                let supported = ["Exact", "NotOlderThan", ""];
                errors.push(FieldError::not_supported(&at, Value::from(self.matching), &supported));
            }
        }
        if self.initial_events.is_some() {
            let at = Path::new("sendInitialEvents");
            errors.push(FieldError::forbidden(&at, "sendInitialEvents is forbidden for list"));
        }
        errors
    }

    fn errors_of_watch(&self) -> Vec<FieldError> {
        let at = Path::new("resourceVersionMatch");
        let mut errors = Vec::new();
        if self.initial_events.is_some() && self.matching != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden(&at, detail));
        }
        if self.initial_events.is_none() && !self.matching.is_empty() {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(&at, detail));
        }
        if !["", "NotOlderThan"].contains(&self.matching) {
            errors.push(FieldError::not_supported(&at, Value::from(self.matching), &["NotOlderThan"]));
        }
        if !self.matching.is_empty() && self.continued {
            errors.push(FieldError::forbidden(&at, CONTINUED));
        }
        errors
    }
}

/// What is said of a match for a page that goes on at a revision already.
const CONTINUED: &str = "resourceVersionMatch is forbidden when continue is provided";

#[cfg(test)]
mod tests {
    use gantry_kinds::POD;

    use super::*;

    fn read(verb: &'static str, query: &str) -> Result<ListOptions, String> {
        let asked = Asked { verb, ..Asked::default() };
        ListOptions::read(&POD, &asked, &Query::parse(Some(query))).map_err(|s| s.message)
    }

    fn check(verb: &'static str, query: &str, expected: &str) {
        let got = read(verb, query).err().unwrap_or_default();
        assert!(got.ends_with(expected) && got.is_empty() == expected.is_empty(), "{query}: {got}");
    }

    #[test]
    fn options_are_refused_in_upstreams_words() {
        check("list", "limit=500&resourceVersion=0", "");
        check("list", "limit=x", "strconv.ParseInt: parsing \"x\": invalid syntax");
        check("list", "fieldSelector=spec.foo%3Dx", "field label not supported: spec.foo");
        check("list", "fieldSelector=spec.nodeName%3Dx,metadata.name!%3Dy", "");
        check(
            "list",
            "resourceVersion=1&continue=x&resourceVersionMatch=Exact",
            "is forbidden when continue is provided",
        );
        check("list", "resourceVersionMatch=Exact", "is forbidden unless resourceVersion is provided");
        check("list", "resourceVersion=0&resourceVersionMatch=Exact", "is forbidden for resourceVersion \"0\"");
        check(
            "list",
            "resourceVersion=1&resourceVersionMatch=Foo",
            "supported values: \"Exact\", \"NotOlderThan\", \"\"",
        );
        check("list", "sendInitialEvents=true", "sendInitialEvents is forbidden for list");
        check("watch", "sendInitialEvents=true", "requires setting resourceVersionMatch to NotOlderThan");
        check("watch", "sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "");
        check("watch", "resourceVersionMatch=NotOlderThan", "unless sendInitialEvents is provided");
        let all = read("list", "resourceVersionMatch=Foo&sendInitialEvents=true").unwrap_err();
        assert_eq!((all.matches("Forbidden").count(), all.matches("Unsupported value").count()), (2, 1), "{all}");
    }

    #[test]
    fn revisions_are_read_late() {
        let options = read("list", "resourceVersion=abc").unwrap();
        assert!(
            options.revision().unwrap_err().message.starts_with("invalid resource version: resourceVersion: Invalid")
        );
        assert_eq!(read("list", "resourceVersion=7").unwrap().revision(), Ok(Some(7)));
        assert_eq!(read("list", "").unwrap().revision(), Ok(None));
    }
}
