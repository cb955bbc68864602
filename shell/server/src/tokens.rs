//! Tokens: `serviceaccounts/token` gives one out, TokenReview says whose one is.
//!
//! Invariants: a token is bound to the account's uid and, where asked, to a pod, secret or node that exists; a node
//! gets tokens only for pods that run on it.

use std::sync::Arc;

use gantry_cluster::Reply;
use gantry_kinds::{FieldError, Path, Status};
use gantry_registry::{Operation, Request as Write, Target, User};
use gantry_schema::Schema;
use gantry_view::{Object, View};
use http::Request;
use hyper::body::Incoming;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::Refusal;
use crate::app::{App, Call};
use crate::authn::bound::{self, core_kind};
use crate::authn::{Claims, KubernetesClaims, Named};
use crate::negotiate::{Offer, accept};
use crate::read::options::invalid_options;
use crate::respond::{self, Answer};
use crate::route::Endpoint;
use crate::write::body::Expected;
use crate::write::{Verb, body, read_options};

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;

/// Answers POST on `serviceaccounts/NAME/token`.
pub(crate) async fn request(
    app: &App,
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::DOCUMENTS)?;
    read_options(call, Verb::Create)?;
    let body = decode(call, endpoint.body(), request).await?;
    let Reply { mut body, warnings, .. } = admitted(app, call, endpoint, body).await?;
    let seconds = expiration(&body)?;
    let mut audiences = texts(&body["spec"]["audiences"]);
    if audiences.is_empty() {
        audiences.push(app.credentials.keys.issuer().to_owned());
    }
    let now = Timestamp::now();
    let (account, kubernetes) = {
        let view = app.cluster.view();
        let account = find(&view, "serviceaccounts", &call.asked.namespace, &call.asked.name)?;
        let binding = binding(&view, &account, &body["spec"]["boundObjectRef"])?;
        permit_node(&view, &call.user, &binding, &body["spec"]["boundObjectRef"])?;
        (account, binding)
    };
    let claims = Claims {
        aud: audiences.clone(),
        exp: now.as_second() + seconds,
        iat: now.as_second(),
        nbf: now.as_second(),
        iss: app.credentials.keys.issuer().to_owned(),
        jti: app.fresh_id(),
        kubernetes,
        sub: format!("system:serviceaccount:{}:{}", account.namespace(), account.name()),
    };
    let expires = now.checked_add(SignedDuration::from_secs(seconds)).map_err(respond::internal)?;
    body["kind"] = Value::from("TokenRequest");
    body["apiVersion"] = Value::from("authentication.k8s.io/v1");
    body["metadata"] = json!({"name": account.name(), "namespace": account.namespace(), "uid": account.uid(),
        "creationTimestamp": wire_time(now)});
    body["spec"]["audiences"] = Value::from(audiences);
    body["spec"]["expirationSeconds"] = Value::from(seconds);
    if body["spec"]["boundObjectRef"].is_null() {
        body["spec"]["boundObjectRef"] = Value::Null;
    }
    body["status"] = json!({"token": app.credentials.keys.sign(&claims)?, "expirationTimestamp": wire_time(expires)});
    let mut answer = respond::value(201, &body, &accepted);
    respond::warn(&mut answer, &warnings);
    Ok(answer)
}

/// What admission makes of a request for a token.
async fn admitted(app: &App, call: &Call, endpoint: Endpoint, body: Value) -> Result<Reply, Refusal> {
    let target = Target {
        kind: endpoint.kind,
        namespace: call.asked.namespace.clone(),
        name: call.asked.name.clone(),
        subresource: "token".to_owned(),
    };
    let (operation, options) = (Operation::Create(body.into()), read_options(call, Verb::Create)?);
    app.cluster.execute(Write { user: call.user.clone(), target, operation, options }).await
}

fn expiration(body: &Value) -> Result<i64, Refusal> {
    let seconds = body["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT);
    let why = if seconds < SHORTEST {
        "may not specify a duration less than 10 minutes"
    } else if seconds > LONGEST {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(seconds);
    };
    let error = FieldError::invalid(&Path::new("spec.expirationSeconds"), seconds, why);
    Err(invalid_options("authentication.k8s.io", "TokenRequest", "", &[error]))
}

/// What the token is bound to, as claims.
fn binding(view: &View, account: &Object, reference: &Value) -> Result<KubernetesClaims, Refusal> {
    let mut claims = KubernetesClaims {
        namespace: account.namespace().to_owned(),
        serviceaccount: named(account),
        ..KubernetesClaims::default()
    };
    if reference.is_null() {
        return Ok(claims);
    }
    let part = |name: &str| reference[name].as_str().unwrap_or_default();
    let (kind, version, name) = (part("kind"), part("apiVersion"), part("name"));
    let (plural, namespace) = match (version, kind) {
        ("v1", "Pod") => ("pods", account.namespace()),
        ("v1", "Secret") => ("secrets", account.namespace()),
        ("v1", "Node") => ("nodes", ""),
        _ => {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Box::new(Status::bad_request(text)));
        }
    };
    let object = find(view, plural, namespace, name)?;
    let uid = part("uid");
    if !uid.is_empty() && uid != object.uid() {
        return Err(uid_conflict(kind, name, uid));
    }
    match plural {
        "pods" => {
            claims.node = node_of(view, &object, account)?;
            claims.pod = Some(named(&object));
        }
        "secrets" => claims.secret = Some(named(&object)),
        _ => claims.node = Some(named(&object)),
    }
    Ok(claims)
}

/// The node that a pod runs on; an error when the pod runs as another account.
fn node_of(view: &View, pod: &Object, account: &Object) -> Result<Option<Named>, Refusal> {
    let value = pod.value();
    if value["spec"]["serviceAccountName"] != account.name() {
        let text = format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            account.name()
        );
        return Err(Box::new(Status::bad_request(text)));
    }
    let Some(name) = value["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) else { return Ok(None) };
    let node = core_kind("nodes").and_then(|kind| view.get(kind, "", name));
    let uid = node.map_or_else(String::new, |node| node.uid().to_owned());
    Ok(Some(Named { name: name.to_owned(), uid }))
}

/// A node may ask only for tokens of pods that run on it.
fn permit_node(view: &View, user: &User, claims: &KubernetesClaims, reference: &Value) -> Result<(), Refusal> {
    let Some(node) = user.node() else { return Ok(()) };
    let refuse = |why: &str| {
        let kind = core_kind("serviceaccounts").ok_or_else(|| respond::internal("no serviceaccounts"))?;
        Err(Box::new(Status::forbidden(kind, &claims.serviceaccount.name, why)))
    };
    let Some(pod) = &claims.pod else { return refuse("node requested token not bound to a pod") };
    if reference["uid"].as_str().unwrap_or_default().is_empty() {
        return refuse("node requested token with a pod binding without a uid");
    }
    let object = find(view, "pods", &claims.namespace, &pod.name)?;
    if object.field("spec.nodeName") != Some(node) {
        return refuse("node requested token bound to a pod scheduled on a different node");
    }
    Ok(())
}

fn uid_conflict(kind: &str, name: &str, uid: &str) -> Refusal {
    let text = format!(
        "Operation cannot be fulfilled on {kind} {name:?}: the UID in the bound object reference ({uid}) does not match \
         the UID in record. The object might have been deleted and then recreated"
    );
    let mut status = Status::new(409, "Conflict", text);
    (status.name, status.kind) = (name.to_owned(), kind.to_owned());
    Box::new(status)
}

/// Answers POST of a TokenReview.
pub(crate) async fn review(
    app: &App,
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::DOCUMENTS)?;
    read_options(call, Verb::Create)?;
    let mut body = decode(call, endpoint.body(), request).await?;
    let token = body["spec"]["token"].as_str().unwrap_or_default().to_owned();
    if token.is_empty() {
        let text = "token is required for TokenReview in authentication";
        return Err(Box::new(Status::bad_request(text)));
    }
    let mut wanted = texts(&body["spec"]["audiences"]);
    if wanted.is_empty() {
        wanted.push(app.credentials.keys.issuer().to_owned());
    }
    body["status"] = judge(app, &token, &wanted);
    body["kind"] = Value::from("TokenReview");
    body["apiVersion"] = Value::from("authentication.k8s.io/v1");
    if body["metadata"].is_null() {
        body["metadata"] = json!({});
    }
    Ok(respond::value(201, &body, &accepted))
}

fn judge(app: &App, token: &str, wanted: &[String]) -> Value {
    let now = Timestamp::now().as_second();
    let audiences: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let claims = match app.credentials.keys.verify(token, &audiences, now) {
        Ok(claims) => claims,
        Err(rejected) => return json!({"user": {}, "error": rejected.text(wanted)}),
    };
    let Some(user) = bound::user(&app.cluster.view(), &claims, now) else {
        return json!({"user": {}, "error": "invalid bearer token"});
    };
    let extra: serde_json::Map<String, Value> = user.extra.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
    let both: Vec<&String> = wanted.iter().filter(|audience| claims.aud.contains(audience)).collect();
    json!({"authenticated": true, "audiences": both,
        "user": {"username": user.name, "uid": user.uid, "groups": user.groups, "extra": extra}})
}

async fn decode(call: &Call, expected: Expected<'static>, request: Request<Incoming>) -> Result<Value, Refusal> {
    let bytes = body::read(&call.headers, request.into_body()).await?;
    let mut value = body::object(&call.headers, expected, &bytes)?.value;
    let wrong = gantry_schema::check(Schema::builtin(), expected.schema, &value).wrong_type;
    gantry_schema::prune(Schema::builtin(), expected.schema, &mut value);
    let kind = expected.kind;
    let refuse = |given: &str, why: String| {
        let text = format!("{given} in version \"v1\" cannot be handled as a {kind}: {why}");
        Err(Box::new(Status::bad_request(text)))
    };
    match (value["kind"].as_str().unwrap_or(kind), wrong) {
        (given, _) if given != kind => refuse(given, format!("expected {kind}")),
        (given, Some(wrong)) => refuse(given, wrong),
        _ if !value["spec"].is_object() && !value["spec"].is_null() => refuse(kind, "spec is no object".to_owned()),
        _ => Ok(value),
    }
}

fn find(view: &View, plural: &str, namespace: &str, name: &str) -> Result<Arc<Object>, Refusal> {
    let kind = core_kind(plural).ok_or_else(|| Box::new(Status::no_such_path()))?;
    view.get(kind, namespace, name).cloned().ok_or_else(|| Box::new(Status::not_found(kind, name)))
}

fn named(object: &Object) -> Named {
    Named { name: object.name().to_owned(), uid: object.uid().to_owned() }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect()
}

fn wire_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use gantry_view::ObjectKey;

    use super::*;

    fn put(view: &mut View, plural: &str, body: &Value) {
        let kind = core_kind(plural).unwrap();
        let object = Arc::new(Object::from_value(kind, body, 1).unwrap());
        view.apply(ObjectKey::new(kind, object.namespace(), object.name()), Some(object.clone()), 1);
    }

    fn world() -> View {
        let mut view = View::new();
        put(&mut view, "serviceaccounts", &json!({"metadata": {"namespace": "a", "name": "s", "uid": "1"}}));
        let pod = |name, account, node| {
            json!({"metadata": {"namespace": "a", "name": name, "uid": name},
            "spec": {"serviceAccountName": account, "nodeName": node}})
        };
        put(&mut view, "pods", &pod("p", "s", "n1"));
        put(&mut view, "pods", &pod("other", "t", "n1"));
        view
    }

    fn bind(reference: Value) -> Result<KubernetesClaims, String> {
        let view = world();
        let account = find(&view, "serviceaccounts", "a", "s").unwrap();
        binding(&view, &account, &reference).map_err(|s| s.message)
    }

    #[test]
    fn a_token_is_bound_to_what_exists() {
        assert_eq!(bind(Value::Null).unwrap().pod, None);
        let claims = bind(json!({"kind": "Pod", "apiVersion": "v1", "name": "p"})).unwrap();
        assert_eq!((claims.pod.unwrap().uid.as_str(), claims.node.unwrap().name.as_str()), ("p", "n1"));
        let refused = |reference| bind(reference).unwrap_err();
        assert_eq!(refused(json!({"kind": "Pod", "apiVersion": "v1", "name": "zz"})), "pods \"zz\" not found");
        let kind = refused(json!({"kind": "ConfigMap", "apiVersion": "v1", "name": "p"}));
        assert_eq!(kind, "cannot bind token to object of type /v1, Kind=ConfigMap");
        let uid = refused(json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "zz"}));
        assert!(
            uid.starts_with("Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (zz)")
        );
        assert!(
            refused(json!({"kind": "Pod", "apiVersion": "v1", "name": "other"}))
                .contains("different serviceaccount name")
        );
    }

    #[test]
    fn a_node_gets_tokens_of_its_own_pods_alone() {
        let reference = json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "p"});
        let claims = bind(reference.clone()).unwrap();
        let node = |name: &str| User {
            name: format!("system:node:{name}"),
            groups: vec!["system:nodes".to_owned()],
            ..User::default()
        };
        let ask = |user: &User, claims: &KubernetesClaims| {
            permit_node(&world(), user, claims, &reference).map_err(|s| s.code)
        };
        assert_eq!(ask(&node("n1"), &claims), Ok(()));
        assert_eq!(ask(&node("n2"), &claims), Err(403));
        assert_eq!(ask(&node("n1"), &KubernetesClaims::default()), Err(403));
        assert_eq!(ask(&User::default(), &KubernetesClaims::default()), Ok(()));
    }

    #[test]
    fn lives_have_bounds() {
        let seconds = |s: Value| expiration(&json!({"spec": {"expirationSeconds": s}})).map_err(|s| s.message);
        assert_eq!(seconds(Value::Null), Ok(3600));
        assert_eq!(seconds(json!(600)), Ok(600));
        assert!(
            seconds(json!(5))
                .unwrap_err()
                .ends_with("Invalid value: 5: may not specify a duration less than 10 minutes")
        );
        assert!(seconds(json!(99_999_999_999_i64)).unwrap_err().ends_with("larger than 2^32 seconds"));
    }
}
