//! One event of the log as JSON, `audit.k8s.io/v1`.

use std::net::IpAddr;

use gantry_policy::audit::{Level, Stage};
use gantry_schema::scalar::format_time;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Facts, Head};

/// Where a request comes from: what proxies say, and the other end of the connection last.
pub(super) fn sources(forwarded: &str, real: &str, remote: Option<IpAddr>) -> Vec<String> {
    let said = forwarded.split(',').map(str::trim).filter(|text| text.parse::<IpAddr>().is_ok());
    let mut all: Vec<String> = said.map(str::to_owned).collect();
    if real.parse::<IpAddr>().is_ok() && !all.iter().any(|known| known == real) {
        all.push(real.to_owned());
    }
    if let Some(remote) = remote.map(|remote| remote.to_canonical().to_string())
        && all.last() != Some(&remote)
    {
        all.push(remote);
    }
    all
}

/// The event of a stage.
pub(super) fn of(head: &Head, facts: &Facts, stage: Stage, status: Option<Value>) -> Value {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": facts.wanted.level.name(),
        "auditID": head.audit_id,
        "stage": stage.name(),
        "requestURI": head.uri,
        "verb": if facts.asked.verb.is_empty() { head.method.as_str() } else { facts.asked.verb },
        "user": facts.user.shown("username"),
        "requestReceivedTimestamp": format_time(head.received, true),
        "stageTimestamp": format_time(Timestamp::now(), true),
    });
    let mut put = |name: &str, value: Value| {
        event[name] = value;
    };
    if let Some(other) = &facts.acting_as {
        put("impersonatedUser", other.shown("username").into());
    }
    if !head.sources.is_empty() {
        put("sourceIPs", json!(head.sources));
    }
    if !head.user_agent.is_empty() {
        put("userAgent", json!(head.user_agent));
    }
    if facts.asked.resource_request {
        put("objectRef", reference(facts));
    }
    if let Some(status) = status {
        put("responseStatus", status);
    }
    let shown = |object: &Value| {
        let mut object = object.clone();
        if facts.wanted.omit_managed_fields {
            omit_managed_fields(&mut object);
        }
        object
    };
    let done = matches!(stage, Stage::ResponseComplete | Stage::ResponseStarted);
    if let Some(object) = facts.request_object.as_ref().filter(|_| done && facts.wanted.level >= Level::Request) {
        put("requestObject", shown(object));
    }
    if let Some(object) = facts.response_object.as_ref().filter(|_| stage == Stage::ResponseComplete) {
        put("responseObject", shown(object));
    }
    if let Some((allowed, reason)) = &facts.decision {
        let decision = if *allowed { "allow" } else { "forbid" };
        put("annotations", json!({"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason}));
    }
    event
}

/// What the request is about; what the answer says of it wins.
fn reference(facts: &Facts) -> Value {
    let asked = &facts.asked;
    let answered = |field: &str| match &facts.response_object {
        Some(object) if object["kind"] != "Status" => object["metadata"][field].as_str().unwrap_or_default(),
        _ => "",
    };
    let name = if asked.name.is_empty() { answered("name") } else { &asked.name };
    let parts = [
        ("resource", asked.resource.as_str()),
        ("namespace", &asked.namespace),
        ("name", name),
        ("uid", answered("uid")),
        ("apiGroup", &asked.group),
        ("apiVersion", &asked.version),
        ("resourceVersion", answered("resourceVersion")),
        ("subresource", &asked.subresource),
    ];
    parts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), json!(text))).collect()
}

fn omit_managed_fields(object: &mut Value) {
    let parts = match object.get_mut("items") {
        Some(Value::Array(items)) => std::mem::take(items),
        _ => Vec::new(),
    };
    let without = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    without(object);
    if !parts.is_empty() {
        let parts = parts.into_iter().map(|mut item| {
            without(&mut item);
            item
        });
        object["items"] = parts.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_come_in_the_order_of_the_way() {
        let remote = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(sources("1.1.1.1, x, 2.2.2.2", "3.3.3.3", remote), ["1.1.1.1", "2.2.2.2", "3.3.3.3", "10.0.0.1"]);
        assert_eq!(sources("", "", remote), ["10.0.0.1"]);
        assert_eq!(sources("10.0.0.1", "", remote), ["10.0.0.1"]);
    }

    #[test]
    fn fields_of_managers_are_left_out_everywhere() {
        let mut list = json!({"metadata": {}, "items": [{"metadata": {"name": "a", "managedFields": []}}]});
        omit_managed_fields(&mut list);
        assert_eq!(list, json!({"metadata": {}, "items": [{"metadata": {"name": "a"}}]}));
    }
}
