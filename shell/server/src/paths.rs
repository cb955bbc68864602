//! Paths outside the resource API: discovery, OpenAPI, health, version, metrics, the token issuer's documents.

use std::sync::atomic::Ordering;

use gantry_kinds::{Status, table};
use http::Method;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::{Value, json};

use crate::Refusal;
use crate::app::{App, Call};
use crate::discovery::catalog::Catalog;
use crate::health::{self, Health};
use crate::negotiate::{Offer, accept};
use crate::respond::{self, Answer};
use crate::route::method_not_allowed;

/// Answers a request whose path is not one of a resource.
pub(crate) async fn answer(app: &App, call: &Call, method: &Method) -> Result<Answer, Refusal> {
    let path = call.asked.path.trim_end_matches('/');
    let words: Vec<&str> = path.split('/').skip(1).collect();
    let ready = app.ready.load(Ordering::Relaxed);
    let known = match health::probe(&words) {
        Some((probe, check)) => health::answer(probe, &check, &call.query, Health::find(&app.cluster, ready).await),
        None if words == ["metrics", "slis"] => {
            Some(respond::text(200, health::slis(Health::find(&app.cluster, ready).await)))
        }
        None => answer_get(app, call, &words)?,
    };
    let Some(answer) = known else {
        // wire: a version of a built-in group that is not served is a Status, everything else plain text.
        let group = words.get(1).is_some_and(|group| table::has_group(group));
        let version = matches!(words[..], ["api", _]) || (matches!(words[..], ["apis", _, _]) && group);
        return if version { Err(Box::new(Status::no_such_path())) } else { Ok(respond::page_not_found()) };
    };
    if method == Method::GET || method == Method::HEAD { Ok(answer) } else { Err(method_not_allowed()) }
}

fn answer_get(app: &App, call: &Call, words: &[&str]) -> Result<Option<Answer>, Refusal> {
    let (headers, query) = (&call.headers, &call.query);
    let accepted = || accept(headers, query, Offer::DOCUMENTS);
    let served = app.discovery.served(&app.cluster, &app.aggregation);
    Ok(match words {
        [] | [""] => Some(respond::value(200, &roots(&served.catalog), &accepted()?)),
        ["api"] => Some(served.root(true, &app.advertise, headers, query)?),
        ["apis"] => Some(served.root(false, &app.advertise, headers, query)?),
        ["api", version] => served.resources("", version, &accepted()?),
        ["apis", group] => served.group(group, &accepted()?),
        ["apis", group, version] => served.resources(group, version, &accepted()?),
        ["openapi", "v2"] => Some(app.openapi.swagger(&served.catalog, headers)?),
        ["openapi", "v3"] => Some(app.openapi.index(&served.catalog)),
        ["openapi", "v3", path @ ..] => Some(app.openapi.document(&served.catalog, &path.join("/"), headers, query)?),
        ["version"] => Some(respond::value(200, &version(app), &accept(headers, query, Offer::JSON)?)),
        ["metrics"] => {
            let added = app.extension.get().map(|extension| extension.metrics()).unwrap_or_default();
            Some(respond::text(200, app.metrics.text(app) + &added))
        }
        ["debug", "api_priority_and_fairness", dump] => app.fairness.dump(dump).map(|text| respond::text(200, text)),
        [".well-known", "openid-configuration"] => Some(issuer(app)),
        ["openid", "v1", "jwks"] => {
            let keys = serde_json::to_value(app.credentials.keys.public()).map_err(respond::internal)?;
            Some(cached("application/jwk-set+json", &keys))
        }
        _ => None,
    })
}

/// `/`: what there is.
fn roots(catalog: &Catalog) -> Value {
    let fixed = ["/.well-known/openid-configuration", "/api", "/apis", "/apis/", "/metrics", "/metrics/slis"];
    let documents = ["/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"];
    let mut paths: Vec<String> = fixed.iter().chain(&documents).map(|path| (*path).to_owned()).collect();
    for probe in health::PROBES {
        paths.push(format!("/{probe}"));
        paths.extend(health::names(probe).map(|check| format!("/{probe}/{check}")));
    }
    for version in &catalog.versions {
        if version.group.is_empty() {
            paths.push(format!("/api/{}", version.name));
        } else {
            paths.extend([format!("/apis/{}", version.group), format!("/apis/{}", version.group_version())]);
        }
    }
    paths.sort();
    paths.dedup();
    json!({ "paths": paths })
}

fn version(app: &App) -> Value {
    let v = &app.version;
    json!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37", "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36", "gitVersion": v.git_version, "gitCommit": v.git_commit, "gitTreeState": "",
        "buildDate": v.build_date, "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

/// The machine's architecture as clients name it.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn issuer(app: &App) -> Answer {
    let body = json!({
        "issuer": app.credentials.keys.issuer(), "jwks_uri": format!("https://{}/openid/v1/jwks", app.advertise),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [app.credentials.keys.algorithm()],
    });
    cached("application/json", &body)
}

fn cached(content_type: &'static str, body: &Value) -> Answer {
    let mut answer = respond::bytes(200, content_type, body.to_string());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer
}
