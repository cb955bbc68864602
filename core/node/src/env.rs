//! A container's environment, and `$(NAME)` in texts.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod};

use crate::pod;
use crate::sources::{Contents, NodeFacts, Sources};
use crate::{downward, service_env};

/// The variables of a container; `ips` are the pod's addresses. An error is the message of
/// `CreateContainerConfigError`.
pub fn resolve(
    pod: &Pod,
    container: &Container,
    ips: &[String],
    sources: &Sources,
    node: &NodeFacts,
) -> Result<Vec<(String, String)>, String> {
    let services = service_env::variables(pod, &sources.services);
    let mut found = BTreeMap::new();
    import(container, sources, &mut found)?;
    let mut order: Vec<String> = found.keys().cloned().collect();
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) if !value.is_empty() => Some(expand(value, &found, &services)),
            (_, Some(source)) => referred(pod, variable, source, ips, sources, node)?,
            _ => Some(String::new()),
        };
        if let Some(value) = value {
            if !order.contains(&variable.name) {
                order.push(variable.name.clone());
            }
            found.insert(variable.name.clone(), value);
        }
    }
    let own: Vec<_> = order.into_iter().filter_map(|name| Some((name.clone(), found.get(&name)?.clone()))).collect();
    let rest = services.into_iter().filter(|(name, _)| !found.contains_key(name));
    Ok(rest.chain(own).collect())
}

fn import(container: &Container, sources: &Sources, found: &mut BTreeMap<String, String>) -> Result<(), String> {
    for from in container.env_from.iter().flatten() {
        let (what, name, optional, contents) = if let Some(map) = &from.config_map_ref {
            ("configmap", &map.name, map.optional, sources.config_maps.get(&map.name))
        } else if let Some(secret) = &from.secret_ref {
            ("secret", &secret.name, secret.optional, sources.secrets.get(&secret.name))
        } else {
            continue;
        };
        let Some(contents) = contents else {
            if optional.unwrap_or(false) {
                continue;
            }
            return Err(missing(what, name));
        };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (key, value) in contents.variables() {
            let name = format!("{prefix}{key}");
            if !name.is_empty() && !name.contains('=') {
                found.insert(name, String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    Ok(())
}

fn missing(what: &str, name: &str) -> String {
    format!("{what} {name:?} not found")
}

/// The value that a reference stands for; `None` where it is optional and leads nowhere.
fn referred(
    pod: &Pod,
    variable: &EnvVar,
    source: &EnvVarSource,
    ips: &[String],
    sources: &Sources,
    node: &NodeFacts,
) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return downward::field(pod, &field.field_path, ips, node).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
        let of = |name: &str| pod::container(pod, name).map(|(_, container)| container);
        let owner = pod::containers(pod)
            .map(|(_, container)| container)
            .find(|container| container.env.iter().flatten().any(|other| std::ptr::eq(other, variable)));
        let container = named.and_then(of).or(owner);
        let container = container.ok_or_else(|| format!("container {} not found", named.unwrap_or_default()))?;
        return downward::resource(container, selector, node).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        let contents = sources.config_maps.get(&key.name);
        return entry(pod, ("configmap", "ConfigMap"), (&key.name, &key.key), key.optional, contents);
    }
    if let Some(key) = &source.secret_key_ref {
        let contents = sources.secrets.get(&key.name);
        return entry(pod, ("secret", "Secret"), (&key.name, &key.key), key.optional, contents);
    }
    Err(format!("the source of the variable {:?} is not supported", variable.name))
}

fn entry(
    pod: &Pod,
    (lower, upper): (&str, &str),
    (name, key): (&str, &str),
    optional: Option<bool>,
    contents: Option<&Contents>,
) -> Result<Option<String>, String> {
    let value = contents.and_then(|contents| contents.variables().find(|(known, _)| *known == key));
    match value {
        Some((_, value)) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional.unwrap_or(false) => Ok(None),
        None if contents.is_none() => Err(missing(lower, name)),
        None => Err(format!("couldn't find key {key} in {upper} {}/{name}", pod::namespace(pod))),
    }
}

/// Replaces `$(NAME)` by its value; `$$` is a dollar sign, and what has no value stays as it is.
pub fn expand(text: &str, own: &BTreeMap<String, String>, services: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match own.get(name).or_else(|| services.get(name)) {
                Some(value) => result.push_str(value),
                None => result.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            result.push('$');
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn dollars() {
        let own = [("A".to_owned(), "1".to_owned())].into();
        let services = [("B".to_owned(), "2".to_owned())].into();
        let check = |text: &str, expected: &str| assert_eq!(expand(text, &own, &services), expected);
        check("$(A)-$(B)", "1-2");
        check("$$(A) $(C) $(", "$(A) $(C) $(");
        check("100% $ $A", "100% $ $A");
    }

    fn sources() -> Sources {
        let contents = crate::sources::config_map(&json!({"data": {"color": "red"}, "binaryData": {"raw": "AAE="}}));
        Sources { config_maps: [("settings".to_owned(), contents)].into(), ..Sources::default() }
    }

    fn check(container: Value, expected: Result<&[(&str, &str)], &str>) {
        let pod = crate::pod::tests::pod(json!({"containers": [container]}));
        let container = &pod::spec(&pod).containers[0];
        let node = NodeFacts::default();
        let found = resolve(&pod, container, &["10.42.0.2".to_owned()], &sources(), &node);
        let found = found.as_ref().map(|list| list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>());
        assert_eq!(found.map_err(String::as_str), expected.map(<[_]>::to_vec));
    }

    #[test]
    fn variables_come_from_everywhere_in_order() {
        let env = json!([
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "URL", "value": "http://$(IP)/$(P_color)"},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y", "optional": true}}},
            {"name": "EMPTY"},
        ]);
        let from = json!([{"prefix": "P_", "configMapRef": {"name": "settings"}}]);
        let expected = [("P_color", "red"), ("IP", "10.42.0.2"), ("URL", "http://10.42.0.2/red"), ("EMPTY", "")];
        check(json!({"name": "a", "env": env, "envFrom": from}), Ok(&expected));
    }

    #[test]
    fn what_is_missing_is_named_in_upstreams_words() {
        let of = |source: Value| json!({"name": "a", "env": [{"name": "X", "valueFrom": source}]});
        let key = |name: &str, key: &str| json!({"name": name, "key": key});
        check(of(json!({"configMapKeyRef": key("no", "x")})), Err("configmap \"no\" not found"));
        let words = "couldn't find key x in ConfigMap shop/settings";
        check(of(json!({"configMapKeyRef": key("settings", "x")})), Err(words));
        let words = "couldn't find key raw in ConfigMap shop/settings";
        check(of(json!({"configMapKeyRef": key("settings", "raw")})), Err(words));
        check(of(json!({"secretKeyRef": key("no", "x")})), Err("secret \"no\" not found"));
        check(json!({"name": "a", "envFrom": [{"secretRef": {"name": "no"}}]}), Err("secret \"no\" not found"));
    }
}
