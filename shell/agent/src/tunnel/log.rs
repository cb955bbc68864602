//! `/logs`: a container's log.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream;
use gantry_node::{Container, pod, sandbox};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};

use super::Question;
use super::answer::{Answer, Refusal};
use crate::limits::LOG_FOLLOW;
use crate::logs::{Options, Reader};
use crate::pods::Pods;

/// A log that is being sent.
struct Sending {
    reader: Reader,
    follow: bool,
    pods: Pods,
    place: (String, String),
    id: String,
    /// The container has ended; what is in the file is all there will be.
    ended: bool,
}

pub(super) async fn answer(pods: &Pods, question: &Question) -> Result<Answer, Refusal> {
    let container = chosen(question)?;
    let options = options(question)?;
    let folder = sandbox::log_folder(&question.seen.pod, &pods.shared().paths.logs().to_string_lossy());
    let file = PathBuf::from(folder).join(&container.name).join(format!("{}.log", container.attempt));
    let follow = options.follow;
    let reader = Reader::open(&file, options).map_err(|error| {
        let why = format!("failed to try resolving symlinks in path {:?}: {error}", file.display().to_string());
        Refusal::new(500, why)
    })?;
    let place = (pod::namespace(&question.seen.pod).to_owned(), pod::name(&question.seen.pod).to_owned());
    let id = container.id.clone();
    let sending = Sending { reader, follow, pods: pods.clone(), place, id, ended: false };
    let pieces = stream::try_unfold(sending, |mut sending| async move {
        Ok(sending.next().await?.map(|piece| (Frame::data(piece), sending)))
    });
    Ok(Response::new(StreamBody::new(pieces).boxed_unsync()))
}

/// The container whose log is wanted.
fn chosen(question: &Question) -> Result<&Container, Refusal> {
    let (name, seen) = (question.container.as_str(), &question.seen);
    let pod_name = pod::name(&seen.pod);
    if pod::container(&seen.pod, name).is_none() {
        return Err(Refusal::new(400, format!("container {name:?} in pod {pod_name:?} is not available")));
    }
    let latest = seen.observed.latest(name);
    if question.flag("previous") {
        let words = format!("previous terminated container {name:?} in pod {pod_name:?} not found");
        let waits = latest.filter(|latest| latest.exit().is_some() && reason(question).is_some());
        return seen.observed.previous(name).or(waits).ok_or_else(|| Refusal::new(400, words));
    }
    latest.ok_or_else(|| {
        let why = match reason(question).as_deref() {
            Some("ErrImagePull" | "ImagePullBackOff") => "trying and failing to pull image".to_owned(),
            Some(reason) => reason.to_owned(),
            None => "ContainerCreating".to_owned(),
        };
        Refusal::new(400, format!("container {name:?} in pod {pod_name:?} is waiting to start: {why}"))
    })
}

/// Why the container waits, if it does.
fn reason(question: &Question) -> Option<String> {
    let status = &question.seen.status;
    let statuses = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let mut named = statuses.filter(|status| status.name == question.container);
    named.next()?.state.as_ref()?.waiting.as_ref()?.reason.clone()
}

fn options(question: &Question) -> Result<Options, Refusal> {
    let number = |name: &str| match question.one(name) {
        None => Ok(None),
        Some(text) => {
            let value = text.parse::<i64>().ok().filter(|value| *value >= 0);
            value.map(Some).ok_or_else(|| Refusal::new(400, format!("{name}: {text:?} is not a number of things")))
        }
    };
    let size = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
    let seconds = number("sinceSeconds")?.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds));
    let since = match question.one("sinceTime") {
        Some(text) => Some(text.parse().map_err(|error| Refusal::new(400, format!("sinceTime: {text:?}: {error}")))?),
        None => seconds,
    };
    Ok(Options {
        follow: question.flag("follow"),
        tail: size(number("tailLines")?),
        since,
        timestamps: question.flag("timestamps"),
        limit: size(number("limitBytes")?),
    })
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.reader.is_full() {
                return Ok(None);
            }
            let piece = self.reader.next()?;
            if !piece.is_empty() {
                return Ok(Some(Bytes::from(piece)));
            }
            if !self.follow || self.ended {
                return Ok(None);
            }
            // Once it has ended the file is read to its end one last time.
            self.ended = !self.lives();
            tokio::time::sleep(LOG_FOLLOW).await;
        }
    }

    fn lives(&self) -> bool {
        let seen = self.pods.find(&self.place.0, &self.place.1);
        seen.is_some_and(|seen| seen.observed.container(&self.id).is_some_and(|container| container.exit().is_none()))
    }
}
