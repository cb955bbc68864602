//! The status of a claim: what was allocated, for whom, and what drivers say of it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::NodeSelector;
use serde_json::{Value, json};

use super::requests::{check_config, check_request_names, check_toleration, known_requests};
use super::{check_label, check_pool};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::csi_driver::check_driver_name;
use crate::kinds::pod;
use crate::names;
use crate::rules;
use crate::tree::{list_at, str_at};
use crate::typed;

const RESERVED_MAX: usize = 256;
const CONDITIONS_MAX: usize = 4;
const INTERFACE_MAX: usize = 256;
const HARDWARE_MAX: usize = 128;

/// Checks the status of a claim.
pub fn check(claim: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    let status = &claim["status"];
    let known = known_requests(&claim["spec"]);
    let allocation = status.get("allocation").filter(|allocation| !allocation.is_null());
    if let Some(allocation) = allocation {
        check_allocation(allocation, &known, &path.child("allocation"), errors);
    }
    let results = allocation.map_or(&[][..], |allocation| list_at(allocation, "/devices/results"));
    check_devices(list_at(status, "/devices"), results, &path.child("devices"), errors);
    check_reserved(status, allocation.is_some(), &path.child("reservedFor"), errors);
}

fn check_reserved(status: &Value, allocated: bool, list: &Path, errors: &mut ErrorList) {
    let consumers = list_at(status, "/reservedFor");
    if consumers.len() > RESERVED_MAX {
        errors.push(FieldError::too_many(list, consumers.len(), RESERVED_MAX));
        return;
    }
    let mut seen = BTreeSet::new();
    let mut twice = ErrorList::new();
    for (at, consumer) in consumers.iter().enumerate() {
        let path = list.index(at);
        for field in ["resource", "name", "uid"] {
            rules::required(str_at(consumer, &format!("/{field}")), &path.child(field), errors);
        }
        if !seen.insert(str_at(consumer, "/uid")) {
            let text = |field: &str| shown(&Value::from(str_at(consumer, &format!("/{field}"))));
            let group = match str_at(consumer, "/apiGroup") {
                "" => String::new(),
                _ => format!("\"apiGroup\":{},", text("apiGroup")),
            };
            let (resource, name, uid) = (text("resource"), text("name"), text("uid"));
            let told = format!("{{{group}\"resource\":{resource},\"name\":{name},\"uid\":{uid}}}");
            twice.push(FieldError::duplicate_shown(&path, &told));
        }
    }
    errors.extend(twice);
    if !allocated && !consumers.is_empty() {
        errors.push(FieldError::forbidden(list, "may not be specified when `allocated` is not set"));
    }
}

fn check_allocation(allocation: &Value, known: &BTreeSet<String>, path: &Path, errors: &mut ErrorList) {
    let devices = path.child("devices");
    let list = devices.child("results");
    for (at, result) in list_at(allocation, "/devices/results").iter().enumerate() {
        check_result(result, known, &list.index(at), errors);
    }
    let configs = list_at(allocation, "/devices/config");
    check_config(configs, Some(known), &devices.child("config"), errors);
    for (at, config) in configs.iter().enumerate() {
        let path = devices.child("config").index(at).child("source");
        rules::required_one_of(str_at(config, "/source"), &["FromClaim", "FromClass"], &path, errors);
    }
    if allocation.get("nodeSelector").is_some_and(|selector| !selector.is_null()) {
        match typed::part::<NodeSelector>(allocation, "nodeSelector", path) {
            Ok(selector) => pod::check_node_selector(&selector, &path.child("nodeSelector"), errors),
            Err(error) => errors.push(error),
        }
    }
}

fn check_result(result: &Value, known: &BTreeSet<String>, path: &Path, errors: &mut ErrorList) {
    let request = [result.get("request").cloned().unwrap_or_else(|| json!(""))];
    check_request_names(&request, known, |_| path.child("request"), errors);
    check_label(str_at(result, "/device"), &path.child("device"), errors);
    check_driver_name(str_at(result, "/driver"), &path.child("driver"), errors);
    check_pool(str_at(result, "/pool"), &path.child("pool"), errors);
    for (at, toleration) in list_at(result, "/tolerations").iter().enumerate() {
        check_toleration(toleration, &path.child("tolerations").index(at), errors);
    }
    for field in ["bindingConditions", "bindingFailureConditions"] {
        let (list, path) = (list_at(result, &format!("/{field}")), path.child(field));
        if list.len() > CONDITIONS_MAX {
            errors.push(FieldError::too_many(&path, list.len(), CONDITIONS_MAX));
            continue;
        }
        for (at, name) in list.iter().filter_map(Value::as_str).enumerate() {
            rules::each(name, names::qualified_name(name), &path.index(at), errors);
        }
    }
    if let Some(share) = result.get("shareID").and_then(Value::as_str).filter(|share| !is_uuid(share)) {
        let detail = "must be a lowercase UUID in 8-4-4-4-12 format";
        errors.push(FieldError::invalid(&path.child("shareID"), share, detail));
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|c| c == b'-' || c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

/// What says which device it is.
fn identity(device: &Value) -> [&str; 4] {
    ["/driver", "/pool", "/device", "/shareID"].map(|field| str_at(device, field))
}

fn check_devices(devices: &[Value], results: &[Value], list: &Path, errors: &mut ErrorList) {
    let mut twice = ErrorList::new();
    for (at, device) in devices.iter().enumerate() {
        let path = list.index(at);
        check_driver_name(str_at(device, "/driver"), &path.child("driver"), errors);
        check_pool(str_at(device, "/pool"), &path.child("pool"), errors);
        check_label(str_at(device, "/device"), &path.child("device"), errors);
        let own = identity(device);
        if !results.iter().any(|result| identity(result) == own) {
            let [driver, pool, name, share] = own.map(|text| shown(&Value::from(text)));
            let told = format!("{{\"Driver\":{driver},\"Pool\":{pool},\"Device\":{name},\"ShareID\":{share}}}");
            errors.push(FieldError::invalid_shown(&path, &told, "must be an allocated device in the claim"));
        }
        check_report(device, &path, errors);
        if devices[..at].iter().any(|other| identity(other) == own) {
            let [driver, pool, name, _] = own.map(|text| shown(&Value::from(text)));
            let conditions = shown(device.get("conditions").unwrap_or(&Value::Null));
            let told = format!("{{\"driver\":{driver},\"pool\":{pool},\"device\":{name},\"conditions\":{conditions}}}");
            twice.push(FieldError::duplicate_shown(&path, &told));
        }
    }
    errors.extend(twice);
}

/// Checks what a driver says of a device.
fn check_report(device: &Value, path: &Path, errors: &mut ErrorList) {
    if device.get("data").is_some_and(|data| !data.is_object() && !data.is_null()) {
        errors.push(FieldError::invalid(&path.child("data"), "<value omitted>", "must be a valid JSON object"));
    }
    let Some(network) = device.get("networkData").filter(|network| !network.is_null()) else { return };
    let path = path.child("networkData");
    let mut too_long = |field: &str, max: usize| {
        if str_at(network, &format!("/{field}")).len() > max {
            errors.push(FieldError::too_long(&path.child(field), max));
        }
    };
    too_long("interfaceName", INTERFACE_MAX);
    too_long("hardwareAddress", HARDWARE_MAX);
    let ips: Vec<_> = list_at(network, "/ips").iter().filter_map(Value::as_str).collect();
    for (at, ip) in ips.iter().enumerate() {
        let path = path.child("ips").index(at);
        match canonical(ip) {
            None => {
                let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
                errors.push(FieldError::invalid(&path, *ip, detail));
            }
            Some(canonical) if canonical != *ip => {
                let detail = format!("must be in canonical form (\"{canonical}\")");
                errors.push(FieldError::invalid(&path, *ip, detail));
            }
            Some(_) => {}
        }
        if ips[..at].contains(ip) {
            errors.push(FieldError::duplicate(&path, *ip));
        }
    }
}

/// An address with its prefix as it should be written.
fn canonical(text: &str) -> Option<String> {
    let (ip, bits) = text.split_once('/')?;
    let (ip, bits) = (ip.parse::<std::net::IpAddr>().ok()?, bits.parse::<u8>().ok()?);
    (bits <= if ip.is_ipv4() { 32 } else { 128 }).then(|| format!("{ip}/{bits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_speaks_of_what_is_in_the_claim() {
        let texts = |status: Value| {
            let request = json!({"name": "a", "exactly": {"deviceClassName": "c"}});
            let claim = json!({"spec": {"devices": {"requests": [request]}}, "status": status});
            let mut errors = ErrorList::new();
            check(&claim, &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let device = json!({"driver": "d.e", "pool": "p", "device": "x"});
        let mut result = device.clone();
        result["request"] = json!("a");
        let allocation = json!({"devices": {"results": [result]}});
        assert_eq!(texts(json!({"allocation": allocation, "devices": [device]})), Vec::<String>::new());
        assert_eq!(
            texts(json!({"devices": [device], "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]})),
            [
                "status.devices[0]: Invalid value: {\"Driver\":\"d.e\",\"Pool\":\"p\",\"Device\":\"x\",\"ShareID\":\"\"}: must be an allocated device in the claim",
                "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
            ]
        );
    }
}
