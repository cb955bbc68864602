//! Which container of which pod on which node a request is about, with upstream's words where that is unclear.

use gantry_kinds::{KindRef, Status};
use serde_json::Value;

use crate::Refusal;
use crate::app::{App, Call};
use crate::query::encode;

/// The annotation that names the container to take when a client names none.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A pod, and where it runs.
#[derive(Debug)]
pub(super) struct Target {
    pub namespace: String,
    pub pod: String,
    /// Empty while the pod is not bound.
    pub node: String,
    value: Value,
}

impl Target {
    /// The pod of a request.
    pub(super) fn find(app: &App, call: &Call, kind: KindRef) -> Result<Self, Refusal> {
        let (namespace, pod) = (call.asked.namespace.clone(), call.asked.name.clone());
        let view = app.cluster.view();
        let object = view.get(kind, &namespace, &pod).ok_or_else(|| Box::new(Status::not_found(kind, &pod)))?;
        let value = object.value();
        let node = value["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        Ok(Target { namespace, pod, node, value })
    }

    /// The container that a request names, or the one that it can only mean.
    pub(super) fn container(&self, asked: Option<&str>) -> Result<String, Refusal> {
        let of = |list: &str| names(&self.value["spec"][list]);
        let (init, main, debug) = (of("initContainers"), of("containers"), of("ephemeralContainers"));
        let all: Vec<&String> = init.iter().chain(&main).chain(&debug).collect();
        if let Some(name) = asked {
            if all.iter().any(|known| *known == name) {
                return Ok(name.to_owned());
            }
            return Err(refuse(format!("container {name} is not valid for pod {}", self.pod)));
        }
        let default = self.value["metadata"]["annotations"][DEFAULT_CONTAINER].as_str();
        if let Some(name) = default.filter(|name| all.iter().any(|known| known == name)) {
            return Ok(name.to_owned());
        }
        match main.as_slice() {
            [one] if init.is_empty() && debug.is_empty() => Ok(one.clone()),
            _ => Err(refuse(self.which_one(&init, &main, &debug))),
        }
    }

    fn which_one(&self, init: &[String], main: &[String], debug: &[String]) -> String {
        let all = [init, main, debug].concat().join(" ");
        format!("a container name must be specified for pod {}, choose one of: [{all}]", self.pod)
    }

    /// The node, once the pod is bound to one.
    pub(super) fn host(&self) -> Result<&str, Refusal> {
        if self.node.is_empty() {
            return Err(refuse(format!("pod {} does not have a host assigned", self.pod)));
        }
        Ok(&self.node)
    }

    /// `/WHAT/NAMESPACE/POD` in the node protocol.
    pub(super) fn path(&self, what: &str) -> String {
        format!("/{what}/{}/{}", encode(&self.namespace), encode(&self.pod))
    }
}

fn names(containers: &Value) -> Vec<String> {
    let list = containers.as_array().into_iter().flatten();
    list.filter_map(|container| Some(container["name"].as_str()?.to_owned())).collect()
}

fn refuse(message: String) -> Refusal {
    Box::new(Status::bad_request(message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(value: Value) -> Target {
        Target { namespace: "a".to_owned(), pod: "p".to_owned(), node: String::new(), value }
    }

    #[test]
    fn the_container_is_the_one_that_was_meant() {
        let one = target(json!({"spec": {"containers": [{"name": "a"}]}}));
        let check = |target: &Target, asked: Option<&str>, expected: Result<&str, &str>| {
            let got = target.container(asked).map_err(|s| s.message);
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        };
        check(&one, None, Ok("a"));
        check(&one, Some("z"), Err("container z is not valid for pod p"));
        let many =
            target(json!({"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]}}));
        check(&many, None, Err("a container name must be specified for pod p, choose one of: [i a b]"));
        check(&many, Some("i"), Ok("i"));
        let annotated = target(json!({"metadata": {"annotations": {DEFAULT_CONTAINER: "b"}},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}]}}));
        check(&annotated, None, Ok("b"));
        assert_eq!(one.host().unwrap_err().message, "pod p does not have a host assigned");
    }
}
