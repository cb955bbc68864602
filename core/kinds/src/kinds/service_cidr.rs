//! ServiceCIDRs: the ranges that addresses of Services come from.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{keep, list_at};

/// The row of `ServiceCIDR`.
pub static SERVICE_CIDR: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "ServiceCIDR",
    plural: "servicecidrs",
    singular: "servicecidr",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "ServiceCIDR",
        schema: "io.k8s.api.networking.v1.ServiceCIDR",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.networking.v1.ServiceCIDR",
    strategy: &CidrStrategy,
    columns: &[NAME, Column::field("CIDRs", "io.k8s.api.networking.v1.ServiceCIDRSpec.cidrs"), AGE],
    cells,
    selectable: &[],
};

/// One range for each family of addresses.
const RANGES_MAX: usize = 2;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let ranges: Vec<_> = list_at(o, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
    vec![name(o), Value::from(ranges.join(",")), age_of(o, now)]
}

struct CidrStrategy;

impl Strategy for CidrStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return ErrorList::new();
        }
        let (ranges, before) = (list_at(new, "/spec/cidrs"), list_at(old, "/spec/cidrs"));
        let path = Path::new("spec").child("cidrs");
        // A range of the other family may join; what is there stays.
        if let [first, _] = ranges
            && let [only] = before
        {
            if first != only {
                return vec![FieldError::invalid(&path.index(0), first.clone(), IMMUTABLE)];
            }
            return check(new);
        }
        if ranges.len() != before.len() {
            return vec![FieldError::invalid(&path, ranges.to_vec(), IMMUTABLE)];
        }
        let changed =
            |(at, (new, _)): (usize, (&Value, &Value))| FieldError::invalid(&path.index(at), new.clone(), IMMUTABLE);
        ranges.iter().zip(before).enumerate().filter(|(_, (new, old))| new != old).map(changed).collect()
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec").child("cidrs");
    let ranges: Vec<&str> = list_at(object, "/spec/cidrs").iter().filter_map(Value::as_str).collect();
    if ranges.is_empty() {
        return vec![FieldError::required(&path, "at least one CIDR required")];
    }
    if ranges.len() > RANGES_MAX {
        let value = format!("{{\"CIDRs\":{}}}", shown(&json!(ranges)));
        return vec![FieldError::invalid_shown(&path, &value, format!("may only hold up to {RANGES_MAX} values"))];
    }
    let mut errors = ErrorList::new();
    for (at, range) in ranges.iter().enumerate() {
        check_range(range, &path.index(at), &mut errors);
    }
    if errors.is_empty()
        && let [one, other] = ranges.as_slice()
        && one.contains(':') == other.contains(':')
    {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(FieldError::invalid(&path, json!(ranges), detail));
    }
    errors
}

fn check_range(range: &str, path: &Path, errors: &mut ErrorList) {
    let before = errors.len();
    rules::cidr(range, path, errors);
    let Some((ip, bits)) = range.split_once('/').filter(|_| errors.len() == before) else { return };
    let canonical = ip.parse::<IpAddr>().map(|ip| format!("{ip}/{bits}")).unwrap_or_default();
    if canonical != range {
        errors.push(FieldError::invalid(path, range, format!("must be in canonical form ({})", quote(&canonical))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_and_are_one_for_each_family() {
        let texts = |errors: ErrorList| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let of = |ranges: &[&str]| json!({"spec": {"cidrs": ranges}});
        assert!(check(&of(&["10.0.0.0/8", "fd00::/112"])).is_empty());
        assert_eq!(
            texts(check(&of(&["2001:DB8::/64"]))),
            ["spec.cidrs[0]: Invalid value: \"2001:DB8::/64\": must be in canonical form (\"2001:db8::/64\")"]
        );
        assert_eq!(texts(check(&of(&["10.0.0.0/8", "11.0.0.0/8"]))).len(), 1);
        let update = |new: &[&str]| texts(CidrStrategy.validate_update(&of(new), &of(&["10.0.0.0/8"]), Update::Main));
        assert_eq!(update(&["11.0.0.0/8"]), ["spec.cidrs[0]: Invalid value: \"11.0.0.0/8\": field is immutable"]);
        assert!(update(&["10.0.0.0/8", "fd00::/112"]).is_empty());
    }
}
