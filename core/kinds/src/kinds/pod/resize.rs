//! The `resize` subresource: processors and memory of containers may change, nothing else, and not so that the
//! pod's class of service does.

use serde_json::{Value, json};

use super::{qos, validate};
use crate::field::{ErrorList, FieldError, Path};
use crate::tree::{list_at, map_at, str_at};

const LISTS: [&str; 2] = ["containers", "initContainers"];
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// The old pod with the resources of the new one.
pub fn prepare(new: &mut Value, old: &Value) {
    let asked = std::mem::replace(new, old.clone());
    for list in LISTS {
        let pointer = format!("/spec/{list}");
        let wanted = list_at(&asked, &pointer);
        if wanted.len() != list_at(old, &pointer).len() {
            new["spec"][list] = json!(wanted);
            continue;
        }
        let containers = new.pointer_mut(&pointer).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, wanted) in containers.zip(wanted) {
            for field in ["name", "resources", "resizePolicy"] {
                crate::tree::keep(container, wanted, field);
            }
        }
    }
}

/// Checks what was made so.
pub fn check(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = validate::whole(new);
    if !errors.is_empty() {
        return errors;
    }
    for list in LISTS {
        check_same(
            list_at(new, &format!("/spec/{list}")),
            list_at(old, &format!("/spec/{list}")),
            &path.child(list),
            &mut errors,
        );
    }
    if !errors.is_empty() {
        return errors;
    }
    let class = qos::class(old);
    if qos::class(new) != class {
        errors.push(FieldError::invalid(&path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    let mut others_changed = false;
    for list in LISTS {
        let (after, before) = (list_at(new, &format!("/spec/{list}")), list_at(old, &format!("/spec/{list}")));
        for (at, (after, before)) in after.iter().zip(before).enumerate() {
            check_kept(after, before, &path.child(list).index(at).child("resources"), &mut errors);
            others_changed |= others(after) != others(before);
        }
    }
    if others_changed {
        errors.push(FieldError::forbidden(&path, "only cpu and memory resources are mutable"));
    }
    errors
}

fn check_same(after: &[Value], before: &[Value], list: &Path, errors: &mut ErrorList) {
    if after.len() != before.len() {
        errors.push(FieldError::forbidden(list, "containers may not be added or removed on resize"));
        return;
    }
    for (at, (after, before)) in after.iter().zip(before).enumerate() {
        if str_at(after, "/name") != str_at(before, "/name") {
            let detail = "containers may not be renamed or reordered on resize";
            errors.push(FieldError::forbidden(&list.index(at).child("name"), detail));
        }
    }
}

/// What was asked for may become another amount, and may not become nothing.
fn check_kept(after: &Value, before: &Value, path: &Path, errors: &mut ErrorList) {
    for list in ["requests", "limits"] {
        let at = |resource: &str| format!("/resources/{list}/{resource}");
        let gone = |resource: &str| before.pointer(&at(resource)).is_some() && after.pointer(&at(resource)).is_none();
        if RESOURCES.into_iter().any(gone) {
            let detail = format!("resource {list} cannot be removed");
            errors.push(FieldError::forbidden(&path.child(list), detail));
        }
    }
}

/// All of a container that a resize leaves as it is.
fn others(container: &Value) -> Value {
    let rest = |list: &str| -> Vec<_> {
        let all = map_at(container, &format!("/resources/{list}"));
        all.filter(|(resource, _)| !RESOURCES.contains(&resource.as_str())).collect()
    };
    let claims = container.pointer("/resources/claims");
    json!([rest("requests"), rest("limits"), claims, list_at(container, "/resizePolicy")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::pod::POD;
    use crate::row::Update;

    fn resize(change: impl FnOnce(&mut Value)) -> (Value, Vec<String>) {
        let container = json!({"name": "a", "image": "b", "resources": {"requests": {"cpu": "100m"}}});
        let mut old = json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}});
        POD.strategy.default(&mut old);
        let mut new = old.clone();
        change(&mut new["spec"]["containers"]);
        POD.strategy.prepare_update(&mut new, &old, Update::Sub("resize"));
        let errors = POD.strategy.validate_update(&new, &old, Update::Sub("resize"));
        (new, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn processors_change_and_images_do_not() {
        let (new, errors) = resize(|containers| {
            containers[0]["resources"]["requests"]["cpu"] = json!("200m");
            containers[0]["image"] = json!("c");
        });
        let container = &new["spec"]["containers"][0];
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((&container["image"], &container["resources"]["requests"]["cpu"]), (&json!("b"), &json!("200m")));
    }

    #[test]
    fn what_a_resize_may_not_do() {
        let (_, errors) = resize(|containers| containers[0]["resources"] = json!({}));
        assert_eq!(
            errors,
            [
                "spec: Invalid value: \"Burstable\": Pod QOS Class may not change as a result of resizing",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ]
        );
        let (_, errors) =
            resize(|containers| containers[0]["resources"]["requests"]["ephemeral-storage"] = json!("1Gi"));
        assert_eq!(errors, ["spec: Forbidden: only cpu and memory resources are mutable"]);
        let (_, errors) = resize(|containers| containers[0]["name"] = json!("z"));
        assert_eq!(
            errors,
            ["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"]
        );
    }
}
