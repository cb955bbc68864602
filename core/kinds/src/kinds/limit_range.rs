//! LimitRanges.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::columns::{NAME, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::pod::round_to_milli;
use crate::kinds::resource_names;
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{child, child_or_new, children, list_at, map_at, set_default, str_at};

/// The row of `LimitRange`.
pub static LIMIT_RANGE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "LimitRange",
    plural: "limitranges",
    singular: "limitrange",
    version_of: None,
    short_names: &["limits"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.LimitRange",
    strategy: &LimitRangeStrategy,
    columns: &[
        NAME,
        Column {
            kind: "date",
            ..Column::field("Created At", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp")
        },
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let created = str_at(o, "/metadata/creationTimestamp");
    vec![name(o), if created.is_empty() { Value::Null } else { Value::from(created) }]
}

struct LimitRangeStrategy;

impl Strategy for LimitRangeStrategy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = object.as_object_mut().and_then(|object| child(object, "spec")) else { return };
        children(spec, "limits").for_each(default_item);
    }

    fn prepare_create(&self, object: &mut Value) {
        // wire: one without a name is named by its uid.
        let uid = object.pointer("/metadata/uid").cloned();
        if str_at(object, "/metadata/name").is_empty()
            && let Some(uid) = uid.filter(Value::is_string)
        {
            object["metadata"]["name"] = uid;
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let limits = Path::new("spec").child("limits");
        let items = list_at(object, "/spec/limits");
        let mut errors = ErrorList::new();
        for (at, item) in items.iter().enumerate() {
            let path = limits.index(at);
            let kind = str_at(item, "/type");
            check_type(kind, &path.child("type"), &mut errors);
            if items[..at].iter().any(|other| str_at(other, "/type") == kind) {
                errors.push(FieldError::duplicate(&path.child("type"), kind));
            }
            check_names(item, kind, &path, &mut errors);
            check_amounts(item, &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

/// The lists of one limit.
const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

/// A container's default limit is its maximum; its default request is its default limit, or its minimum.
fn default_item(item: &mut Map<String, Value>) {
    for list in LISTS {
        round_to_milli(item, list);
    }
    if item.get("type").and_then(Value::as_str) != Some("Container") {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let given = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        if given.is_empty() {
            continue;
        }
        let list = child_or_new(item, to);
        for (resource, amount) in given {
            set_default(list, &resource, amount);
        }
    }
}

fn check_type(kind: &str, path: &Path, errors: &mut ErrorList) {
    let wrong = names::qualified_name(kind);
    if !wrong.is_empty() {
        rules::each(kind, wrong, path, errors);
    } else if !kind.contains('/') && !["Pod", "Container", "PersistentVolumeClaim"].contains(&kind) {
        errors.push(FieldError::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
}

fn check_names(item: &Value, kind: &str, path: &Path, errors: &mut ErrorList) {
    let of_containers = ["Pod", "Container"].contains(&kind);
    for list in LISTS {
        if kind == "Pod" && list.starts_with("default") {
            if item.get(list).and_then(Value::as_object).is_some_and(|list| !list.is_empty()) {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(&path.child(list), detail));
            }
            continue;
        }
        for (resource, _) in map_at(item, &format!("/{list}")) {
            let path = path.child(list).key(resource);
            if of_containers {
                resource_names::check_for_containers(resource, &path, errors);
            } else {
                resource_names::check(resource, &path, errors);
            }
        }
    }
    if kind == "PersistentVolumeClaim" && ["/min/storage", "/max/storage"].iter().all(|at| item.pointer(at).is_none()) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(&path.child("limits"), detail));
    }
}

/// What one limit says of one resource.
struct Bounds {
    max: Option<Quantity>,
    min: Option<Quantity>,
    limit: Option<Quantity>,
    request: Option<Quantity>,
    ratio: Option<Quantity>,
}

fn check_amounts(item: &Value, path: &Path, errors: &mut ErrorList) {
    let resources: BTreeSet<&String> =
        LISTS.iter().flat_map(|list| map_at(item, &format!("/{list}"))).map(|(resource, _)| resource).collect();
    for resource in resources {
        let amount = |list: &str| item.get(list)?.get(resource)?.as_str().and_then(|text| Quantity::parse(text).ok());
        let bounds = Bounds {
            max: amount("max"),
            min: amount("min"),
            limit: amount("default"),
            request: amount("defaultRequest"),
            ratio: amount("maxLimitRequestRatio"),
        };
        bounds.check(resource, path, errors);
    }
}

impl Bounds {
    fn check(&self, resource: &str, path: &Path, errors: &mut ErrorList) {
        let Bounds { max, min, limit, request, .. } = self;
        let mut ordered =
            |low: &Option<Quantity>, high: &Option<Quantity>, at: &str, shown: &Option<Quantity>, what| {
                if let (Some(low), Some(high), Some(shown)) = (low, high, shown)
                    && low > high
                {
                    let (low_name, high_name): (&str, &str) = what;
                    let detail = format!("{low_name} value {low} is greater than {high_name} value {high}");
                    errors.push(FieldError::invalid(&path.child(at).key(resource), shown.to_string(), detail));
                }
            };
        ordered(min, max, "min", min, ("min", "max"));
        ordered(min, request, "defaultRequest", request, ("min", "default request"));
        ordered(request, max, "defaultRequest", request, ("default request", "max"));
        ordered(request, limit, "defaultRequest", request, ("default request", "default limit"));
        ordered(min, limit, "default", min, ("min", "default"));
        ordered(limit, max, "default", max, ("default", "max"));
        self.check_ratio(&path.child("maxLimitRequestRatio").key(resource), errors);
        if let (Some(limit), Some(request)) = (limit, request)
            && limit != request
            && !resource_names::may_overcommit(resource)
        {
            let detail = format!("default value {limit} must equal to defaultRequest value {request} in {resource}");
            let path = path.child("defaultRequest").key(resource);
            errors.push(FieldError::invalid(&path, request.to_string(), detail));
        }
    }

    fn check_ratio(&self, path: &Path, errors: &mut ErrorList) {
        let Some(ratio) = &self.ratio else { return };
        if *ratio < Quantity::from_value(1) {
            errors.push(FieldError::invalid(path, ratio.to_string(), format!("ratio {ratio} is less than 1")));
        }
        if let (Some(max), Some(min)) = (&self.max, &self.min) {
            let allowed = max.milli_value() as f64 / min.milli_value() as f64;
            if ratio.milli_value() as f64 > allowed * 1000.0 {
                let detail = format!("ratio {ratio} is greater than max/min = {allowed:.6}");
                errors.push(FieldError::invalid(path, ratio.to_string(), detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits(item: Value) -> Value {
        let mut object = json!({"metadata": {"name": "l"}, "spec": {"limits": [item]}});
        LimitRangeStrategy.default(&mut object);
        object
    }

    #[test]
    fn a_container_has_the_maximum_as_its_default() {
        let object = limits(json!({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1M"}}));
        let item = &object["spec"]["limits"][0];
        assert_eq!(item["default"], json!({"cpu": "2"}));
        assert_eq!(item["defaultRequest"], json!({"cpu": "2", "memory": "1M"}));
        assert_eq!(LimitRangeStrategy.validate(&object), Vec::new());
        let object = limits(json!({"type": "Pod", "max": {"cpu": "2"}}));
        assert_eq!(object["spec"]["limits"][0].get("default"), None);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let check = |item: Value, expected: &[&str]| {
            let errors = LimitRangeStrategy.validate(&limits(item));
            assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        };
        check(
            json!({"type": "Pod", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
            &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
        );
        check(
            json!({"type": "Pod", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "3"}}),
            &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": \
               ratio 3 is greater than max/min = 2.000000"],
        );
        check(
            json!({"type": "PersistentVolumeClaim"}),
            &["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but \
               neither was provided"],
        );
        check(
            json!({"type": "X"}),
            &["spec.limits[0].type: Invalid value: \"X\": must be a standard limit type or fully qualified"],
        );
    }
}
