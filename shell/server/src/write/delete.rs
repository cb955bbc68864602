//! `metav1.DeleteOptions`, from the body and the query.

use bytes::Bytes;
use gantry_kinds::{FieldError, Path, Status};
use gantry_registry::DeleteOptions;
use gantry_schema::Schema;
use gantry_schema::decode;
use http::HeaderMap;
use serde_json::{Map, Value};

use super::body::{self, Undecoded};
use super::options::dry_run_error;
use crate::Refusal;
use crate::query::Query;
use crate::read::options::invalid_options;

const TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

/// How to delete, and whether only to pretend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    pub options: DeleteOptions,
    pub dry_run: bool,
}

/// Reads the options; a body takes the place of the query.
pub(crate) fn read(headers: &HeaderMap, query: &Query, bytes: &Bytes) -> Result<Wanted, Refusal> {
    let value = if bytes.is_empty() { from_query(query)? } else { from_body(headers, bytes)? };
    let errors = problems(&value);
    if !errors.is_empty() {
        return Err(invalid_options("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    let text = |at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let orphan = value["orphanDependents"].as_bool().map(|orphan| if orphan { "Orphan" } else { "Background" });
    Ok(Wanted {
        options: DeleteOptions {
            grace_seconds: value["gracePeriodSeconds"].as_i64(),
            propagation: text("/propagationPolicy").or_else(|| orphan.map(str::to_owned)),
            uid: text("/preconditions/uid"),
            revision: text("/preconditions/resourceVersion"),
            collection: false,
        },
        dry_run: value["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
    })
}

fn from_query(query: &Query) -> Result<Value, Refusal> {
    let mut value = Map::new();
    if let Some(seconds) = query.integer("gracePeriodSeconds")? {
        value.insert("gracePeriodSeconds".to_owned(), Value::from(seconds));
    }
    if let Some(policy) = query.text("propagationPolicy") {
        value.insert("propagationPolicy".to_owned(), Value::from(policy));
    }
    if let Some(orphan) = query.switch("orphanDependents") {
        value.insert("orphanDependents".to_owned(), Value::from(orphan));
    }
    let dry_run = query.all("dryRun");
    if !dry_run.is_empty() {
        value.insert("dryRun".to_owned(), Value::from(dry_run));
    }
    Ok(Value::Object(value))
}

fn from_body(headers: &HeaderMap, bytes: &Bytes) -> Result<Value, Refusal> {
    let bad_request = |text: String| Box::new(Status::bad_request(text));
    let decoded = body::decode_by_type(headers, TYPE, bytes)?.map_err(|error| bad_request(error.to_string()))?;
    let value = decoded.value;
    let (version, kind) = decode::identity(&value).map_err(|error| bad_request(Undecoded::Text(error).to_string()))?;
    if !kind.is_empty() && kind != "DeleteOptions" {
        return Err(bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/runtime/scheme.go:111\""
        )));
    }
    match gantry_schema::check(Schema::builtin(), TYPE, &value).wrong_type {
        Some(wrong) => Err(bad_request(wrong)),
        None => Ok(value),
    }
}

fn problems(value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = Path::new("propagationPolicy");
    if let Some(policy) = value["propagationPolicy"].as_str() {
        if value["orphanDependents"].is_boolean() {
            errors.push(FieldError::invalid(
                &at,
                policy,
                "orphanDependents and deletionPropagation cannot be both set",
            ));
        } else if !["Foreground", "Background", "Orphan"].contains(&policy) {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported(&at, Value::from(policy), &supported));
        }
    }
    let dry_run = value["dryRun"].as_array().into_iter().flatten();
    let dry_run: Vec<String> = dry_run.map(|v| v.as_str().unwrap_or_default().to_owned()).collect();
    errors.extend(dry_run_error(&dry_run));
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str, body: &str) -> Result<Wanted, String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read(&HeaderMap::new(), &Query::parse(Some(query)), &body).map_err(|s| s.message)
    }

    #[test]
    fn options_come_from_the_body_or_the_query() {
        let query = wanted("gracePeriodSeconds=0&propagationPolicy=Foreground&dryRun=All", "").unwrap();
        assert_eq!((query.options.grace_seconds, query.options.propagation.as_deref()), (Some(0), Some("Foreground")));
        assert!(query.dry_run);
        let body = r#"{"kind":"DeleteOptions","apiVersion":"v1","orphanDependents":true,"preconditions":{"uid":"u"}}"#;
        let body = wanted("propagationPolicy=Foreground", body).unwrap();
        assert_eq!((body.options.propagation.as_deref(), body.options.uid.as_deref()), (Some("Orphan"), Some("u")));
    }

    #[test]
    fn wrong_options_are_refused() {
        let refused = |query, body| wanted(query, body).unwrap_err();
        assert!(
            refused("propagationPolicy=Foo", "")
                .ends_with("supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"")
        );
        assert!(refused("orphanDependents=true&propagationPolicy=Orphan", "").ends_with("cannot be both set"));
        assert!(
            refused("", r#"{"dryRun":["x"]}"#)
                .ends_with("dryRun: Unsupported value: [\"x\"]: supported values: \"All\"")
        );
        assert!(
            refused("", r#"{"kind":"Pod","apiVersion":"v1"}"#)
                .ends_with("for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"")
        );
        for body in ["[]", "1", r#"{"kind":1}"#] {
            let told = refused("", body);
            assert!(told.starts_with("couldn't get version/kind; json parse error: json: cannot"), "{body}: {told}");
        }
        assert!(refused("", "{bad").starts_with("couldn't get version/kind; json parse error: "));
    }
}
