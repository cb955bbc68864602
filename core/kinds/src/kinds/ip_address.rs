//! IPAddresses: who has an address of the cluster. The object's name is the address.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::str_at;

/// The row of `IPAddress`.
pub static IP_ADDRESS: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "IPAddress",
    plural: "ipaddresses",
    singular: "ipaddress",
    version_of: None,
    short_names: &["ip"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.networking.v1.IPAddress",
    strategy: &AddressStrategy,
    columns: &[NAME, Column::field("ParentRef", "io.k8s.api.networking.v1.IPAddressSpec.parentRef")],
    cells,
    selectable: &[],
};

// wire: rows have the age, for which there is no column.
fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let part = |field: &str| str_at(o, &format!("/spec/parentRef/{field}"));
    let mut parent = part("resource").to_owned();
    if !part("group").is_empty() {
        parent = format!("{parent}.{}", part("group"));
    }
    for part in [part("namespace"), part("name")].into_iter().filter(|part| !part.is_empty()) {
        parent = format!("{parent}/{part}");
    }
    vec![name(o), Value::from(parent), age_of(o, now)]
}

struct AddressStrategy;

impl Strategy for AddressStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let path = Path::new("spec").child("parentRef");
        let Some(parent) = object.pointer("/spec/parentRef").filter(|p| !p.is_null()) else {
            errors.push(FieldError::required(&path, ""));
            return errors;
        };
        let part = |field: &str| str_at(parent, &format!("/{field}"));
        let group = part("group");
        if !group.is_empty() {
            rules::each(group, names::dns_subdomain(group), &path.child("group"), &mut errors);
        }
        for (field, required) in [("resource", true), ("name", true), ("namespace", false)] {
            let text = part(field);
            if required {
                rules::required(text, &path.child(field), &mut errors);
            }
            rules::each(text, names::path_segment(text, false), &path.child(field), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        if new.pointer("/spec/parentRef") != old.pointer("/spec/parentRef") {
            let path = Path::new("spec").child("parentRef");
            errors.push(FieldError::invalid(&path, Value::Null, IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, _prefix: bool) -> Vec<String> {
        let wrong = names::ip(name);
        match name.parse::<IpAddr>() {
            Ok(ip) if wrong.is_empty() && ip.to_string() != name => {
                vec![format!("must be in canonical form ({})", quote(&ip.to_string()))]
            }
            _ => wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_an_address_in_its_one_form() {
        let wrong = |name: &str| AddressStrategy.check_name(name, false);
        assert!(wrong("10.0.0.1").is_empty() && wrong("2001:db8::1").is_empty());
        assert_eq!(wrong("2001:db8:0::1"), ["must be in canonical form (\"2001:db8::1\")"]);
        assert_eq!(wrong("010.0.0.1"), ["must not have leading 0s"]);
        let parent = json!({"resource": "services", "namespace": "b", "name": "a", "group": "g.h"});
        let row = cells(&json!({"spec": {"parentRef": parent}}), Timestamp::UNIX_EPOCH);
        assert_eq!(row[1], "services.g.h/b/a");
    }
}
