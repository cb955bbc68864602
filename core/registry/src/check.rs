//! Whether the records of addresses and node ports are those of the Services: what no commit may break.

use gantry_kinds::{IP_ADDRESS, SERVICE};
use gantry_view::View;

use crate::allocation::{ALLOCATION, MANAGED_BY, MANAGER, Record};
use crate::service::reserved;

/// Every Service whose address or port is not recorded for it, and every record that no Service has, in words.
/// IPAddresses that somebody else made are theirs.
pub fn check_reservations(view: &View) -> Vec<String> {
    let mut found = Vec::new();
    for service in view.list(&SERVICE, None) {
        for record in reserved(&service.value()) {
            let holder = view.at(&record.key()).map(|record| record.value());
            let holder = holder.as_ref().map_or(("", "nobody"), Record::owner);
            if holder != (service.namespace(), service.name()) {
                let (namespace, name) = holder;
                found.push(format!("{}: {} is recorded for {namespace}/{name}", service.key(), record.key()));
            }
        }
    }
    let managed = |record: &&std::sync::Arc<gantry_view::Object>| {
        record.header.labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
    };
    let addresses = view.list(&IP_ADDRESS, None).filter(managed);
    for record in view.list(&ALLOCATION, None).chain(addresses) {
        let value = record.value();
        let (namespace, name) = Record::owner(&value);
        let service = view.get(&SERVICE, namespace, name).map(|service| reserved(&service.value()));
        if service.is_none_or(|has| !has.iter().any(|has| has.key() == *record.key())) {
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
        expect(&world, &["services/web/twin: ipaddresses/10.", "services/web/twin: allocations"]);
        world.view.apply(original.key().clone(), None, 1001);
        expect(
            &world,
            &["services/web/twin: ipaddresses/10.", "services/web/twin: allocations", "ipaddresses/10.", "allocations"],
        );
    }
}
