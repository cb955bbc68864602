//! Asking containers how they are, and running their hooks.

mod grpc;
mod http;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use gantry_cri::Runtime;
use gantry_node::probe::{Kind, Outcome, timeout};
use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;

use http::Answer;

/// How long a hook may ask; the pod's grace bounds it from outside.
const HOOK: Duration = Duration::from_secs(3600);

/// A container that runs, as probes and hooks reach it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) runtime: Runtime,
    /// The runtime's name for it.
    pub(crate) id: String,
    /// The pod's address.
    pub(crate) ip: String,
    pub(crate) container: Container,
}

impl Target {
    /// Asks once.
    pub(crate) async fn probe(&self, kind: Kind) -> Outcome {
        let Some(probe) = kind.of(&self.container) else { return Outcome::Success };
        let bound = timeout(probe);
        if let Some(exec) = &probe.exec {
            return self.exec(exec.command.clone().unwrap_or_default(), bound).await;
        }
        if let Some(get) = &probe.http_get {
            let answer = self.get(get, bound, "kube-probe/1.37").await;
            return match answer {
                Ok(Answer { code: 200..400 }) => Outcome::Success,
                Ok(Answer { code }) => Outcome::Failure(format!("HTTP probe failed with statuscode: {code}")),
                Err(why) => Outcome::Failure(why),
            };
        }
        if let Some(tcp) = &probe.tcp_socket {
            let host = tcp.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&self.ip);
            return match self.port(&tcp.port) {
                Ok(port) => match connect(host, port, bound).await {
                    Ok(_) => Outcome::Success,
                    Err(why) => Outcome::Failure(why),
                },
                Err(why) => Outcome::Errored(why),
            };
        }
        if let Some(check) = &probe.grpc {
            let port = u16::try_from(check.port).unwrap_or(0);
            return grpc::check(&self.ip, port, check.service.as_deref().unwrap_or_default(), bound).await;
        }
        Outcome::Success
    }

    /// Runs a hook to its end.
    pub(crate) async fn hook(&self, handler: &LifecycleHandler) -> Result<(), String> {
        if let Some(exec) = &handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            return match self.exec(command, HOOK).await {
                Outcome::Success => Ok(()),
                Outcome::Failure(why) | Outcome::Errored(why) => Err(why),
            };
        }
        if let Some(get) = &handler.http_get {
            return self.get(get, HOOK, "kube-lifecycle/1.37").await.map(drop);
        }
        if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(gantry_node::pod::seconds(sleep.seconds)).await;
        }
        Ok(())
    }

    async fn exec(&self, command: Vec<String>, bound: Duration) -> Outcome {
        let shown = command.join(" ");
        match self.runtime.exec_sync(&self.id, command, bound).await {
            Ok(answer) if answer.exit_code == 0 => Outcome::Success,
            Ok(answer) => {
                let said = [answer.stdout, answer.stderr].concat();
                Outcome::Failure(String::from_utf8_lossy(&said).into_owned())
            }
            Err(error) if error.is_timeout() => {
                Outcome::Failure(format!("command timed out: {shown:?} timed out after {}s", bound.as_secs()))
            }
            Err(error) if error.is_unreachable() => Outcome::Errored(error.to_string()),
            Err(error) => Outcome::Failure(error.to_string()),
        }
    }

    async fn get(&self, get: &HTTPGetAction, bound: Duration, agent: &str) -> Result<Answer, String> {
        let host = get.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(&self.ip);
        let request = http::Get {
            secure: get.scheme.as_deref() == Some("HTTPS"),
            host: host.to_owned(),
            port: self.port(&get.port)?,
            path: get.path.clone().unwrap_or_default(),
            headers: get.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect(),
            agent: agent.to_owned(),
        };
        request.send(bound).await
    }

    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        let number = match port {
            IntOrString::Int(number) => *number,
            IntOrString::String(name) => {
                let ports = self.container.ports.iter().flatten();
                let found =
                    ports.clone().find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port);
                found.or_else(|| name.parse().ok()).ok_or_else(|| format!("couldn't find port: {name}"))?
            }
        };
        u16::try_from(number).map_err(|_| format!("invalid port number: {number}"))
    }
}

/// Connects within `bound`; errors read like upstream's.
async fn connect(host: &str, port: u16, bound: Duration) -> Result<TcpStream, String> {
    let place = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let dial = async {
        match place.parse::<SocketAddr>() {
            Ok(address) => TcpStream::connect(address).await,
            Err(_) => TcpStream::connect((host, port)).await,
        }
    };
    match tokio::time::timeout(bound, dial).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(format!("dial tcp {place}: connect: {}", cause(&error))),
        Err(_) => Err(format!("dial tcp {place}: i/o timeout")),
    }
}

/// The operating system's words, in lower case and without the number.
fn cause(error: &std::io::Error) -> String {
    let words = match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    };
    words.to_lowercase()
}

#[cfg(test)]
mod tests;
