//! What a pod gets where its author said nothing. Templates get the same, except what only a pod itself gets.

use serde_json::{Map, Value, json};

use super::gated;
use crate::kinds::persistent_volume;
use crate::quantity::Quantity;
use crate::tree::{child, child_or_new, children, fill, set_default};

const FILE_MODE: i64 = 0o644;

/// Fills in a Pod.
pub fn pod(object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    if let Some(status) = child(object, "status") {
        same_address(status);
    }
    let spec = child_or_new(object, "spec");
    set_default(spec, "enableServiceLinks", true);
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    for list in ["initContainers", "containers"] {
        for container in children(spec, list) {
            request_limits(container);
            if host_network {
                publish_ports(container);
            }
        }
    }
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        spec.insert("terminationGracePeriodSeconds".to_owned(), Value::from(1));
    }
    request_for_all(spec);
    pod_spec(spec);
}

/// A pod that asks for resources as a whole asks for what its containers ask for together, and else for its limits.
fn request_for_all(spec: &mut Map<String, Value>) {
    let of_pods = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let mut sums: Map<String, Value> = Map::new();
    for container in children(spec, "containers") {
        let requests = child(container, "resources").and_then(|resources| child(resources, "requests"));
        for (name, amount) in requests.into_iter().flat_map(|requests| requests.iter()) {
            let amount = amount.as_str().and_then(|text| Quantity::parse(text).ok());
            let before = sums.get(name).and_then(Value::as_str).and_then(|text| Quantity::parse(text).ok());
            if let Some(amount) = amount.filter(|_| of_pods(name)) {
                let sum = before.map_or(amount, |before| before.add(&amount));
                sums.insert(name.clone(), Value::from(sum.to_string()));
            }
        }
    }
    let Some(resources) = child(spec, "resources") else { return };
    let limits = child(resources, "limits").cloned().unwrap_or_default();
    let given = child(resources, "requests").is_some_and(|requests| !requests.is_empty());
    if limits.is_empty() && !given {
        return;
    }
    let requests = child_or_new(resources, "requests");
    for (name, amount) in sums.into_iter().chain(limits.into_iter().filter(|(name, _)| of_pods(name))) {
        set_default(requests, &name, amount);
    }
}

/// Fills in the pod template of a workload's spec.
pub fn template(workload: &mut Map<String, Value>) {
    pod_spec(child_or_new(child_or_new(workload, "template"), "spec"));
}

/// `podIP` is the first of `podIPs`; where the two differ it wins.
fn same_address(status: &mut Map<String, Value>) {
    let text = |ip: Option<&Value>| ip.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (one, first) = (text(status.get("podIP")), text(status.get("podIPs").and_then(|ips| ips[0].get("ip"))));
    if one.is_empty() && !first.is_empty() {
        status.insert("podIP".to_owned(), Value::from(first));
    } else if one != first {
        status.insert("podIPs".to_owned(), json!([{ "ip": one }]));
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    gated::drop(spec);
    set_default(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "restartPolicy", "Always");
    fill(spec, "schedulerName", "default-scheduler");
    set_default(spec, "securityContext", json!({}));
    same_account(spec);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in children(spec, list) {
            self::container(container);
        }
    }
    for volume in children(spec, "volumes") {
        self::volume(volume);
    }
    round_to_milli(spec, "overhead");
    if let Some(resources) = child(spec, "resources") {
        round_to_milli(resources, "limits");
        round_to_milli(resources, "requests");
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`: both say the same.
fn same_account(spec: &mut Map<String, Value>) {
    let name = ["serviceAccountName", "serviceAccount"]
        .iter()
        .find_map(|field| spec.get(*field).and_then(Value::as_str).filter(|name| !name.is_empty()))
        .map(str::to_owned);
    if let Some(name) = name {
        spec.insert("serviceAccountName".to_owned(), Value::from(name.as_str()));
        spec.insert("serviceAccount".to_owned(), Value::from(name));
    }
}

/// What is limited and not requested is requested up to the limit.
fn request_limits(container: &mut Map<String, Value>) {
    let Some(resources) = child(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let requests = child_or_new(resources, "requests");
    for (name, limit) in limits {
        set_default(requests, &name, limit);
    }
}

fn publish_ports(container: &mut Map<String, Value>) {
    for port in children(container, "ports") {
        let number = port.get("containerPort").cloned().unwrap_or(Value::Null);
        if port.get("hostPort").and_then(Value::as_i64).unwrap_or(0) == 0 {
            port.insert("hostPort".to_owned(), number);
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = pull_policy(image);
    fill(container, "imagePullPolicy", policy);
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    if let Some(resources) = child(container, "resources") {
        round_to_milli(resources, "limits");
        round_to_milli(resources, "requests");
    }
    for port in children(container, "ports") {
        fill(port, "protocol", "TCP");
    }
    for variable in children(container, "env") {
        if let Some(source) = child(variable, "valueFrom") {
            field_sources(source);
            if let Some(file) = child(source, "fileKeyRef") {
                set_default(file, "optional", false);
            }
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = child(container, probe) {
            self::probe(probe);
        }
    }
    if let Some(lifecycle) = child(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(handler) = child(lifecycle, hook) {
                http_get(handler);
            }
        }
    }
}

/// `Always` for an image whose tag may move, `IfNotPresent` for any other.
pub fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let (path, last) = name.rsplit_once('/').unwrap_or(("", name));
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    match tag {
        _ if !is_image_name(path, last) => "IfNotPresent",
        Some("latest") => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

/// The longest name of an image, its registry included.
const IMAGE_NAME_MAX: usize = 255;
const DEFAULT_REGISTRY: &str = "docker.io/";
const DEFAULT_FOLDER: &str = "library/";

/// Whether folders and the last part are the name of an image. The first part may be a registry, which may be
/// written in capitals.
fn is_image_name(path: &str, last: &str) -> bool {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let plain = |part: &str| part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-/".contains(&c));
    let registry = first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|c| c.is_ascii_uppercase());
    let host = first.split_once(':').map_or(first, |(host, _)| host);
    let sound = host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-[]".contains(&c));
    let hash = path.is_empty() && last.len() == 64 && last.bytes().all(|c| c.is_ascii_hexdigit());
    let added = match (registry, path.is_empty()) {
        (true, _) => 0,
        (false, true) => DEFAULT_REGISTRY.len() + DEFAULT_FOLDER.len(),
        (false, false) => DEFAULT_REGISTRY.len(),
    };
    let length = path.len() + usize::from(!path.is_empty()) + last.len() + added;
    let folders = if registry { sound && plain(rest) } else { plain(path) };
    !last.is_empty() && plain(last) && folders && !hash && length <= IMAGE_NAME_MAX
}

fn field_sources(source: &mut Map<String, Value>) {
    if let Some(field) = child(source, "fieldRef") {
        set_default(field, "apiVersion", "v1");
    }
    if let Some(resource) = child(source, "resourceFieldRef") {
        set_default(resource, "divisor", "0");
    }
}

fn probe(probe: &mut Map<String, Value>) {
    let counts = [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
    for (field, value) in counts {
        if probe.get(field).and_then(Value::as_i64).unwrap_or(0) == 0 {
            probe.insert(field.to_owned(), Value::from(value));
        }
    }
    http_get(probe);
    if let Some(grpc) = child(probe, "grpc") {
        set_default(grpc, "service", "");
    }
}

fn http_get(handler: &mut Map<String, Value>) {
    let Some(get) = child(handler, "httpGet") else { return };
    for (field, value) in [("path", "/"), ("scheme", "HTTP")] {
        fill(get, field, value);
    }
}

fn volume(volume: &mut Map<String, Value>) {
    if !volume.iter().any(|(field, value)| field != "name" && !value.is_null()) {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = child(volume, source) {
            set_default(source, "defaultMode", FILE_MODE);
        }
    }
    persistent_volume::default_source(volume);
    if let Some(downward) = child(volume, "downwardAPI") {
        children(downward, "items").for_each(field_sources);
    }
    if let Some(projected) = child(volume, "projected") {
        children(projected, "sources").for_each(projection);
    }
    if let Some(image) = child(volume, "image") {
        let reference = image.get("reference").and_then(Value::as_str).unwrap_or_default();
        let policy = pull_policy(reference);
        fill(image, "pullPolicy", policy);
    }
    let claim = child(volume, "ephemeral").and_then(|e| child(e, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|claim| child(claim, "spec")) {
        set_default(spec, "volumeMode", "Filesystem");
    }
}

fn projection(source: &mut Map<String, Value>) {
    if let Some(token) = child(source, "serviceAccountToken") {
        set_default(token, "expirationSeconds", 3600);
    }
    if let Some(downward) = child(source, "downwardAPI") {
        children(downward, "items").for_each(field_sources);
    }
}

/// Rounds the quantities of a resource list up to thousandths, the finest that is kept.
pub fn round_to_milli(map: &mut Map<String, Value>, field: &str) {
    let Some(list) = child(map, field) else { return };
    for quantity in list.values_mut() {
        let Some(exact) = quantity.as_str().and_then(|text| Quantity::parse(text).ok()) else { continue };
        let rounded = exact.rounded_to_milli();
        if rounded != exact {
            *quantity = Value::from(rounded.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_may_move_are_always_pulled() {
        let check = |image, expected| assert_eq!(pull_policy(image), expected, "{image}");
        check("web", "Always");
        check("web:latest", "Always");
        check("web:1", "IfNotPresent");
        check("host:5000/web", "Always");
        check("host:5000/web:1", "IfNotPresent");
        check("web@sha256:aa", "IfNotPresent");
        check("web:latest@sha256:aa", "Always");
        check("Host.example/a/web", "Always");
        check(" web", "IfNotPresent");
        check("host/a/B/web", "IfNotPresent");
    }

    #[test]
    fn a_pod_requests_what_it_limits_and_a_template_does_not() {
        let spec =
            json!({"containers": [{"name": "a", "image": "b:1", "resources": {"limits": {"cpu": "0.1234567"}}}]});
        let mut object = json!({ "spec": spec });
        pod(&mut object);
        assert_eq!(object["spec"]["containers"][0]["resources"]["requests"]["cpu"], "124m");
        let mut object = json!({ "spec": spec });
        object["template"] = object.clone();
        template(object.as_object_mut().unwrap());
        assert_eq!(object["template"]["spec"]["containers"][0]["resources"], json!({"limits": {"cpu": "124m"}}));
    }

    #[test]
    fn ports_of_a_pod_on_the_host_network_are_host_ports() {
        let mut object = json!({"spec": {"hostNetwork": true, "containers": [{"ports": [{"containerPort": 8}]}]}});
        pod(&mut object);
        let port = &object["spec"]["containers"][0]["ports"][0];
        assert_eq!(*port, json!({"containerPort": 8, "hostPort": 8, "protocol": "TCP"}));
    }
}
