//! The service behind an APIService, and whether there is anything to ask.

use std::net::SocketAddr;

use gantry_kinds::kinds::api_service::API_SERVICE;
use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{ENDPOINT_SLICE, SERVICE};
use gantry_view::{ObjectKey, View};
use serde_json::Value;

use super::may_be_given_away;
use crate::proxy::backend::{self, SERVICE_NAME};

/// The port of a service where none is named.
const HTTPS: i64 = 443;

/// The service behind an APIService.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Behind {
    /// The APIService.
    pub key: ObjectKey,
    pub group: String,
    pub version: String,
    /// Of the group among all groups, and of the version in it: higher ones come first.
    pub priority: (i64, i64),
    pub namespace: String,
    pub service: String,
    pub port: u16,
    /// Base64 of the certificates by which it is known.
    pub bundle: String,
    /// Whether it may have any certificate.
    pub insecure: bool,
}

/// Why nobody can be asked: a reason in one word, and a sentence.
pub(super) type Missing = (&'static str, String);

impl Behind {
    /// All APIServices that other servers answer.
    pub(super) fn all(view: &View) -> Vec<Behind> {
        view.list(&API_SERVICE, None).filter_map(|object| Self::read(object.key(), &object.value())).collect()
    }

    fn read(key: &ObjectKey, object: &Value) -> Option<Behind> {
        let spec = &object["spec"];
        let service = spec.get("service").filter(|service| !service.is_null())?;
        let group = str_at(spec, "/group");
        may_be_given_away(group).then(|| Behind {
            key: key.clone(),
            group: group.to_owned(),
            version: str_at(spec, "/version").to_owned(),
            priority: (
                int_at(spec, "/groupPriorityMinimum").unwrap_or_default(),
                int_at(spec, "/versionPriority").unwrap_or_default(),
            ),
            namespace: str_at(service, "/namespace").to_owned(),
            service: str_at(service, "/name").to_owned(),
            port: u16::try_from(int_at(service, "/port").unwrap_or(HTTPS)).unwrap_or_default(),
            bundle: str_at(spec, "/caBundle").to_owned(),
            insecure: spec["insecureSkipTLSVerify"] == true,
        })
    }

    /// `/apis/GROUP/VERSION`.
    pub(super) fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// The name in the server's certificate.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The URL at which errors say that it is asked.
    pub(super) fn url(&self, view: &View) -> String {
        let service = view.get(&SERVICE, &self.namespace, &self.service).map(|service| service.value());
        let ip = service.as_ref().map(|service| str_at(service, "/spec/clusterIP")).unwrap_or_default();
        let host = if ["", "None"].contains(&ip) { self.host() } else { ip.to_owned() };
        format!("https://{host}:{}{}", self.port, self.path())
    }

    /// An address at which it answers, and the node that reaches it.
    pub(super) fn address(&self, view: &View, seed: u64) -> Result<(SocketAddr, Option<String>), String> {
        let backend = backend::of_named(view, &self.namespace, &self.service, self.port, seed);
        let backend = backend.map_err(|status| status.message)?;
        match backend.place {
            backend::Place::Address(address) => Ok((address, backend.node)),
            backend::Place::Agent => Err(format!("service {:?} has no address", self.service)),
        }
    }

    /// Whether the service, its port and somebody behind it are there.
    pub(super) fn look(&self, view: &View) -> Result<(), Missing> {
        let (namespace, name) = (&self.namespace, &self.service);
        let Some(service) = view.get(&SERVICE, namespace, name).map(|service| service.value()) else {
            return Err(("ServiceNotFound", format!("service/{name} in {namespace:?} is not present")));
        };
        let mut ports = list_at(&service, "/spec/ports").iter();
        let Some(port) = ports.find(|port| int_at(port, "/port") == Some(i64::from(self.port))) else {
            let text = format!("service/{name} in {namespace:?} is not listening on port {}", self.port);
            return Err(("ServicePortError", text));
        };
        let port = str_at(port, "/name");
        let slices = view.list(&ENDPOINT_SLICE, Some(namespace));
        let slices = slices.filter(|slice| slice.header.labels.get(SERVICE_NAME).is_some_and(|of| **of == **name));
        let mut slices = slices.peekable();
        if slices.peek().is_none() {
            let text = format!("cannot find endpointslices for service/{name} in {namespace:?}");
            return Err(("EndpointsNotFound", text));
        }
        if slices.all(|slice| backend::addresses(&slice.value(), port).is_empty()) {
            let text =
                format!("endpointslices for service/{name} in {namespace:?} have no addresses with port name {port:?}");
            return Err(("MissingEndpoints", text));
        }
        Ok(())
    }

    /// Whether a change of this object may change what `look` finds.
    pub(super) fn concerns(&self, key: &ObjectKey) -> bool {
        (*key.kind == SERVICE || *key.kind == ENDPOINT_SLICE) && *key.namespace == *self.namespace
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_kinds::KindRef;
    use gantry_view::Object;
    use serde_json::json;

    use super::*;

    fn put(view: &mut View, kind: KindRef, mut object: Value) {
        object["metadata"]["namespace"] = "n".into();
        let revision = view.revision() + 1;
        let object = Object::parse(kind, object.to_string().as_bytes(), revision).unwrap();
        view.apply(object.key().clone(), Some(Arc::new(object)), revision);
    }

    fn behind(group: &str) -> Option<Behind> {
        let spec = json!({"group": group, "version": "v1", "groupPriorityMinimum": 7, "versionPriority": 3,
            "service": {"namespace": "n", "name": "s", "port": 443}});
        Behind::read(&ObjectKey::new(&API_SERVICE, "", "x"), &json!({ "spec": spec }))
    }

    #[test]
    fn built_in_groups_are_not_given_away() {
        assert!(behind("apps").is_none() && behind("").is_none());
        assert_eq!(behind("a.example.com").unwrap().priority, (7, 3));
    }

    #[test]
    fn what_is_missing_is_said() {
        let behind = behind("a.example.com").unwrap();
        let mut view = View::new();
        let reason = |view: &View| behind.look(view).map_or_else(|(reason, _)| reason, |()| "");
        assert_eq!(reason(&view), "ServiceNotFound");
        put(&mut view, &SERVICE, json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}));
        assert_eq!(reason(&view), "ServicePortError");
        put(&mut view, &SERVICE, json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 443, "name": "h"}]}}));
        assert_eq!(reason(&view), "EndpointsNotFound");
        let slice = |address: &str| {
            json!({"metadata": {"name": "s-1", "labels": {SERVICE_NAME: "s"}}, "ports": [{"name": "h", "port": 6443}],
                "endpoints": [{"addresses": [address], "conditions": {"ready": !address.is_empty()}}]})
        };
        put(&mut view, &ENDPOINT_SLICE, slice(""));
        assert_eq!(reason(&view), "MissingEndpoints");
        put(&mut view, &ENDPOINT_SLICE, slice("10.1.0.1"));
        assert_eq!(reason(&view), "");
        assert_eq!(behind.address(&view, 0).unwrap().0.to_string(), "10.1.0.1:6443");
    }
}
