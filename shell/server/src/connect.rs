//! Connections to what runs in the cluster, as admission sees them: not the bytes, but who connects to what and how.

use gantry_registry::{Connection, Operation, Options, Request, Target};
use serde_json::{Map, Value};

use crate::Refusal;
use crate::app::{App, Call};
use crate::query::Query;
use crate::route::Endpoint;

/// Subresources that are connections.
const CONNECTIONS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Asks whether the client may connect as it wants to; nothing to ask where it does not.
pub(crate) async fn admit(app: &App, call: &Call, endpoint: Endpoint) -> Result<(), Refusal> {
    let Some(sub) = endpoint.subresource.filter(|sub| CONNECTIONS.contains(&sub.name)) else { return Ok(()) };
    let target = Target {
        kind: endpoint.kind,
        namespace: call.namespace(endpoint.kind).to_owned(),
        name: call.asked.name.clone(),
        subresource: sub.name.to_owned(),
    };
    let operation = Operation::Connect(Connection { verb: call.asked.verb, options: options(&call.query, sub.name) });
    let request = Request { user: call.user.clone(), target, operation, options: Options::default() };
    app.cluster.execute(request).await.map(drop)
}

/// The options of a connection, as an object without its kind.
fn options(query: &Query, sub: &str) -> Value {
    let mut options = Map::new();
    match sub {
        "portforward" => {
            let given = query.all("ports");
            let ports = given.iter().flat_map(|ports| ports.split(','));
            let ports: Vec<u64> = ports.filter_map(|port| port.parse().ok()).collect();
            if !ports.is_empty() {
                options.insert("ports".to_owned(), ports.into());
            }
        }
        "proxy" => {
            if let Some(path) = query.text("path") {
                options.insert("path".to_owned(), path.into());
            }
        }
        _ => {
            for key in ["stdin", "stdout", "stderr", "tty"] {
                if query.on(key) {
                    options.insert(key.to_owned(), true.into());
                }
            }
            if let Some(container) = query.text("container") {
                options.insert("container".to_owned(), container.into());
            }
            let command = query.all("command");
            if !command.is_empty() {
                options.insert("command".to_owned(), command.into());
            }
        }
    }
    Value::Object(options)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_client_asks_for_is_an_object() {
        let of = |query: &str, sub: &str| options(&Query::parse(Some(query)), sub);
        let exec = json!({"stdin": true, "container": "c", "command": ["sh", "-c"]});
        assert_eq!(of("stdin=1&tty=false&container=c&command=sh&command=-c", "exec"), exec);
        assert_eq!(of("ports=80,81&ports=82", "portforward"), json!({"ports": [80, 81, 82]}));
        assert_eq!(of("x=y", "proxy"), json!({}));
    }
}
