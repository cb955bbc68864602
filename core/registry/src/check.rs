//! Whether the records of addresses and node ports are those of the Services: what no commit may break.

use gantry_kinds::SERVICE;
use gantry_kinds::tree::str_at;
use gantry_view::View;

use crate::allocation::ALLOCATION;
use crate::service::reserved;

/// Every Service whose address or port is not recorded for it, and every record that no Service has, in words.
pub fn check_reservations(view: &View) -> Vec<String> {
    let mut found = Vec::new();
    for service in view.list(&SERVICE, None) {
        let own = format!("{}/{}", service.namespace(), service.name());
        for name in reserved(&service.value()) {
            let record = view.get(&ALLOCATION, "", &name).map(|record| record.value());
            let holder = record.as_ref().map_or("nobody", |record| str_at(record, "/owner"));
            if holder != own {
                found.push(format!("{}: {name} is recorded for {holder}", service.key()));
            }
        }
    }
    for record in view.list(&ALLOCATION, None) {
        let value = record.value();
        let (namespace, name) = str_at(&value, "/owner").split_once('/').unwrap_or_default();
        let service = view.get(&SERVICE, namespace, name);
        if service.is_none_or(|service| !reserved(&service.value()).contains(record.name())) {
            found.push(format!("{}: no Service has it", record.key()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_view::Object;
    use serde_json::json;

    use super::*;
    use crate::tests::World;

    #[test]
    fn what_services_have_is_recorded_for_them_and_for_nobody_else() {
        let mut world = World::new();
        let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        world.create(&SERVICE, "web", service).unwrap();
        assert_eq!(check_reservations(&world.view), Vec::<String>::new());

        let original = world.view.get(&SERVICE, "web", "s").unwrap().clone();
        let mut twin = original.value();
        twin["metadata"]["name"] = json!("twin");
        twin["metadata"]["uid"] = json!("twin");
        let twin = Object::from_value(&SERVICE, &twin, 1000).unwrap();
        world.view.apply(twin.key().clone(), Some(Arc::new(twin)), 1000);
        let expect = |world: &World, parts: &[&str]| {
            let found = check_reservations(&world.view);
            assert_eq!(found.len(), parts.len(), "{found:?}");
            parts.iter().for_each(|part| assert!(found.iter().any(|v| v.starts_with(part)), "{part}: {found:?}"));
        };
        expect(&world, &["services/web/twin: ip-", "services/web/twin: port-"]);
        world.view.apply(original.key().clone(), None, 1001);
        expect(&world, &["services/web/twin: ip-", "services/web/twin: port-", "allocations/ip-", "allocations/port-"]);
    }
}
