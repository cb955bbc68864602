//! containerd's own stream of events: what happens to the processes of containers, at once.

use tonic::Streaming;

use crate::CriError;
use crate::channel::Socket;
use crate::limits::{CALL, MARK_EVERY};
use crate::message::Empty;

/// The topic of events that only show that events are heard.
const MARK: &str = "/gantry/mark";

/// What happened to a container's or sandbox's first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It runs.
    Started {
        /// The container or sandbox.
        container: String,
    },
    /// It has ended.
    Exited {
        /// The container or sandbox.
        container: String,
        /// Its exit status.
        code: i32,
        /// When, in nanoseconds since 1970.
        at: i64,
    },
    /// Something in the container was killed for want of memory.
    OutOfMemory {
        /// The container.
        container: String,
    },
}

/// The stream of events.
pub struct Events {
    stream: Streaming<Envelope>,
    socket: Socket,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(message, optional, tag = "2")]
    event: Option<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(string, tag = "3")]
    topic: String,
    #[prost(message, optional, tag = "4")]
    event: Option<prost_types::Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TaskExit {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(uint32, tag = "4")]
    exit_status: u32,
    #[prost(message, optional, tag = "5")]
    exited_at: Option<prost_types::Timestamp>,
}

/// `TaskStart` and `TaskOOM`: only the container matters.
#[derive(Clone, PartialEq, prost::Message)]
struct TaskOf {
    #[prost(string, tag = "1")]
    container_id: String,
}

impl Events {
    /// Subscribes, and returns once it is certain that no further event is missed.
    pub(crate) async fn subscribe(socket: &Socket) -> Result<Self, CriError> {
        let topics = ["/tasks/start", "/tasks/exit", "/tasks/oom", MARK];
        let filters = topics.iter().map(|topic| format!("topic==\"{topic}\"")).collect();
        let path = "/containerd.services.events.v1.Events/Subscribe";
        // The server answers with the first event, not before: events of our own show that it listens.
        let stream = tokio::select! {
            stream = socket.stream("Subscribe", path, SubscribeRequest { filters }) => stream?,
            error = mark(socket) => return Err(error),
        };
        Ok(Events { stream, socket: socket.clone() })
    }

    /// The next event; an error when the runtime has gone.
    pub async fn next(&mut self) -> Result<Event, CriError> {
        loop {
            match self.stream.message().await {
                Ok(Some(envelope)) => {
                    if let Some(event) = decode(&envelope) {
                        return Ok(event);
                    }
                }
                Ok(None) => {
                    let gone = tonic::Status::unavailable("the stream of events has ended");
                    return Err(self.socket.error("Subscribe", &gone));
                }
                Err(status) => return Err(self.socket.error("Subscribe", &status)),
            }
        }
    }
}

/// Publishes events of our own until somebody stops it, or it fails.
async fn mark(socket: &Socket) -> CriError {
    let path = "/containerd.services.events.v1.Events/Publish";
    let mut wait = MARK_EVERY;
    loop {
        let event = Some(prost_types::Any { type_url: MARK.to_owned(), value: Vec::new() });
        let request = PublishRequest { topic: MARK.to_owned(), event };
        if let Err(error) = socket.call::<_, Empty>("Publish", path, request, CALL).await {
            return error;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

fn decode(envelope: &Envelope) -> Option<Event> {
    use prost::Message;
    let bytes = envelope.event.as_ref()?.value.as_slice();
    match envelope.topic.as_str() {
        "/tasks/exit" => {
            let exit = TaskExit::decode(bytes).ok()?;
            // The end of a command that was run inside a container has an id of its own.
            (exit.id == exit.container_id).then(|| Event::Exited {
                container: exit.container_id,
                code: exit.exit_status as i32,
                at: exit.exited_at.map_or(0, nanos),
            })
        }
        "/tasks/start" => Some(Event::Started { container: TaskOf::decode(bytes).ok()?.container_id }),
        "/tasks/oom" => Some(Event::OutOfMemory { container: TaskOf::decode(bytes).ok()?.container_id }),
        _ => None,
    }
}

/// Nanoseconds since 1970.
fn nanos(at: prost_types::Timestamp) -> i64 {
    at.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(at.nanos))
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn envelope(topic: &str, message: &impl Message) -> Envelope {
        let any = prost_types::Any { type_url: String::new(), value: message.encode_to_vec() };
        Envelope { topic: topic.to_owned(), event: Some(any) }
    }

    #[test]
    fn only_the_end_of_the_first_process_is_an_exit() {
        let at = prost_types::Timestamp { seconds: 2, nanos: 5 };
        let exit = |id: &str| TaskExit {
            container_id: "a".to_owned(),
            id: id.to_owned(),
            exit_status: 137,
            exited_at: Some(at),
        };
        let expected = Event::Exited { container: "a".to_owned(), code: 137, at: 2_000_000_005 };
        assert_eq!(decode(&envelope("/tasks/exit", &exit("a"))), Some(expected));
        assert_eq!(decode(&envelope("/tasks/exit", &exit("exec-1"))), None);
    }
}
