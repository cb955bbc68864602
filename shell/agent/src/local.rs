//! What runs on this node, as the node itself knows it: no server is asked.

use std::collections::BTreeMap;
use std::path::Path;

use gantry_cri::Runtime;
use gantry_cri::message::{Container, ContainerState};
use gantry_node::container::{NAME_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, POD_UID_LABEL};
use jiff::Timestamp;
use serde_json::Value;

use crate::checkpoint;
use crate::error::AgentError;
use crate::paths::Paths;

/// The file of the node's pods as they were last known.
pub(crate) const PODS: &str = "pods";

/// One container of this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// `Running`, `Exited`, `Created`, or `Missing` where the pod is known but nothing of it is there.
    pub state: &'static str,
    /// How often it was started again.
    pub restarts: u32,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its id in the runtime; empty where it is missing.
    pub id: String,
}

/// The last container of each name of each pod: what the runtime has, and what is missing of the pods that are known.
///
/// # Errors
/// Where the runtime does not answer.
pub async fn list(data_dir: &Path, socket: Option<&Path>) -> Result<Vec<Local>, AgentError> {
    let paths = Paths::new(data_dir);
    let socket = socket.map_or_else(|| paths.socket(), Path::to_owned);
    let containers = Runtime::new(&socket).containers(BTreeMap::new()).await?;
    let known = checkpoint::load(&paths.known().join(format!("{PODS}.json"))).unwrap_or_default();
    Ok(merge(&containers, &known))
}

fn merge(containers: &[Container], known: &[Value]) -> Vec<Local> {
    let mut latest: BTreeMap<(String, String), (u32, Local)> = BTreeMap::new();
    for container in containers {
        let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
        let attempt = container.metadata.as_ref().map_or(0, |metadata| metadata.attempt);
        let local = Local {
            namespace: label(POD_NAMESPACE_LABEL),
            pod: label(POD_NAME_LABEL),
            container: label(NAME_LABEL),
            state: state(container.state),
            restarts: attempt,
            created: Timestamp::from_nanosecond(i128::from(container.created_at)).ok(),
            id: container.id.clone(),
        };
        let entry = latest.entry((label(POD_UID_LABEL), local.container.clone())).or_insert((attempt, local.clone()));
        if entry.0 <= attempt {
            *entry = (attempt, local);
        }
    }
    for pod in known {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten().filter(|_| !over);
        for container in containers {
            let metadata = &pod["metadata"];
            latest.entry((text(&metadata["uid"]), text(&container["name"]))).or_insert_with(|| {
                let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
                let container = text(&container["name"]);
                let (restarts, created, id) = (0, None, String::new());
                (0, Local { namespace, pod: name, container, state: "Missing", restarts, created, id })
            });
        }
    }
    let mut all: Vec<_> = latest.into_values().map(|(_, local)| local).collect();
    all.sort();
    all
}

fn state(state: i32) -> &'static str {
    match ContainerState::try_from(state) {
        Ok(ContainerState::Created) => "Created",
        Ok(ContainerState::Running) => "Running",
        Ok(ContainerState::Exited) => "Exited",
        Ok(ContainerState::Unknown) | Err(_) => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use gantry_cri::message::ContainerMetadata;
    use serde_json::json;

    use super::*;

    #[test]
    fn f11_what_runs_is_listed_without_a_server() {
        let container = |uid: &str, pod: &str, attempt: u32, state: ContainerState| Container {
            id: format!("{uid}{attempt}"),
            metadata: Some(ContainerMetadata { name: "c".to_owned(), attempt }),
            state: state as i32,
            labels: [(POD_NAMESPACE_LABEL, "n"), (POD_NAME_LABEL, pod), (NAME_LABEL, "c"), (POD_UID_LABEL, uid)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Container::default()
        };
        let there = [
            container("u2", "b", 0, ContainerState::Running),
            container("u1", "a", 1, ContainerState::Running),
            container("u1", "a", 0, ContainerState::Exited),
        ];
        let pod = |uid: &str, name: &str, phase: &str| {
            json!({"metadata": {"namespace": "n", "name": name, "uid": uid}, "status": {"phase": phase},
                   "spec": {"containers": [{"name": "c"}]}})
        };
        let known = [pod("u1", "a", "Running"), pod("u3", "c", "Pending"), pod("u4", "d", "Succeeded")];
        let found: Vec<_> = merge(&there, &known).into_iter().map(|l| (l.pod, l.state, l.restarts, l.id)).collect();
        let expected = [("a", "Running", 1, "u11"), ("b", "Running", 0, "u20"), ("c", "Missing", 0, "")];
        let expected = expected.map(|(pod, state, restarts, id)| (pod.to_owned(), state, restarts, id.to_owned()));
        assert_eq!(found, expected);
    }
}
