//! `/exec` and `/attach`: a command in a container, or its first process.

use gantry_cri::message::{AttachRequest, ExecRequest};
use gantry_node::pod;
use gantry_streams::remote_command::{self, Streams};
use gantry_streams::{frames, session};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Question;
use super::answer::{Answer, Refusal};
use crate::pods::Pods;

pub(super) async fn answer(pods: &Pods, question: &Question, verb: &str, body: Incoming) -> Result<Answer, Refusal> {
    let name = &question.container;
    let running = question.seen.observed.latest(name).filter(|container| container.running_since().is_some());
    let Some(container) = running else {
        let known = pod::container(&question.seen.pod, name).is_some();
        let code = if known { 500 } else { 404 };
        return Err(Refusal::new(code, format!("unable to upgrade connection: container not found ({name:?})")));
    };
    let tty = question.flag("tty");
    let streams = Streams {
        stdin: question.flag("stdin"),
        stdout: question.flag("stdout"),
        // A terminal has one output.
        stderr: question.flag("stderr") && !tty,
        tty,
    };
    let runtime = &pods.shared().runtime.cri;
    let url = if verb == "exec" {
        let request = ExecRequest {
            container_id: container.id.clone(),
            cmd: question.all("command").map(str::to_owned).collect(),
            tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        runtime.exec(request).await
    } else {
        let request = AttachRequest {
            container_id: container.id.clone(),
            tty,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
        };
        runtime.attach(request).await
    };
    let url = url.map_err(|error| Refusal::new(500, error.to_string()))?;
    let command = remote_command::dial(&url, streams).await.map_err(|error| Refusal::new(500, error.to_string()))?;
    let (client, body) = frames::over_http(std::future::ready(Some(body)));
    tokio::spawn(session::join(client, command));
    Ok(Response::new(body.map_err(|never| match never {}).boxed_unsync()))
}
