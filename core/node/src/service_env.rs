//! The variables by which a container finds Services without DNS.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::pod;
use crate::sources::Service;

/// The Service that every container is told of.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// The variables for a pod: the API's own Service, and those of the pod's namespace unless it wants none.
pub fn variables(pod: &Pod, services: &[Service]) -> BTreeMap<String, String> {
    let links = pod::spec(pod).enable_service_links.unwrap_or(true);
    let mut variables = BTreeMap::new();
    let is_master = |service: &&Service| (service.namespace.as_str(), service.name.as_str()) == MASTER;
    let own = services.iter().filter(|service| links && service.namespace == pod::namespace(pod));
    for service in services.iter().filter(is_master).chain(own) {
        describe(service, &mut variables);
    }
    variables
}

fn describe(service: &Service, variables: &mut BTreeMap<String, String>) {
    let name = shout(&service.name);
    let Some((_, first, _)) = service.ports.first() else { return };
    let ip = if service.ip.contains(':') { format!("[{}]", service.ip) } else { service.ip.clone() };
    variables.insert(format!("{name}_SERVICE_HOST"), service.ip.clone());
    variables.insert(format!("{name}_SERVICE_PORT"), first.to_string());
    for (at, (port_name, port, protocol)) in service.ports.iter().enumerate() {
        if !port_name.is_empty() {
            variables.insert(format!("{name}_SERVICE_PORT_{}", shout(port_name)), port.to_string());
        }
        let lower = protocol.to_lowercase();
        let url = format!("{lower}://{ip}:{port}");
        if at == 0 {
            variables.insert(format!("{name}_PORT"), url.clone());
        }
        let prefix = format!("{name}_PORT_{port}_{protocol}");
        variables.insert(prefix.clone(), url);
        variables.insert(format!("{prefix}_PROTO"), lower);
        variables.insert(format!("{prefix}_PORT"), port.to_string());
        variables.insert(format!("{prefix}_ADDR"), service.ip.clone());
    }
}

fn shout(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_described_in_both_old_ways() {
        let ports = vec![("http-web".to_owned(), 80, "TCP".to_owned())];
        let service = |namespace: &str, name: &str| Service {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ip: "10.43.0.7".to_owned(),
            ports: ports.clone(),
        };
        let services = [service("shop", "my-db"), service("default", "kubernetes"), service("other", "x")];
        let names = |links: bool| {
            let pod = crate::pod::tests::pod(json!({"containers": [], "enableServiceLinks": links}));
            variables(&pod, &services)
        };
        let all = names(true);
        assert_eq!(all["MY_DB_SERVICE_HOST"], "10.43.0.7");
        assert_eq!(all["MY_DB_SERVICE_PORT_HTTP_WEB"], "80");
        assert_eq!(all["MY_DB_PORT"], "tcp://10.43.0.7:80");
        assert_eq!(all["MY_DB_PORT_80_TCP_ADDR"], "10.43.0.7");
        assert!(!all.contains_key("X_PORT"));
        assert_eq!(names(false).keys().filter(|name| !name.starts_with("KUBERNETES_")).count(), 0);
        assert_eq!(names(false)["KUBERNETES_SERVICE_HOST"], "10.43.0.7");
    }
}
