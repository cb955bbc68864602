//! Remote commands over WebSocket.
//!
//! One task owns the socket; it answers pings, sends its own, and gives up on a server that answers none.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::client::unexpected;
use crate::credentials::wrong;
use crate::limits::{EXEC_EVENTS, MESSAGE_BYTES, PING_EVERY, STDIN_BYTES};
use crate::{Client, ClientError, Connected};

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// What a remote command sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecEvent {
    /// Bytes of its output.
    Stdout(Bytes),
    /// Bytes of its standard error.
    Stderr(Bytes),
    /// How it ended, a metav1.Status; the last event.
    Status(Value),
}

/// A running remote command. When both halves are dropped the connection is closed.
pub struct ExecSession {
    /// Towards the command.
    pub writer: ExecWriter,
    /// From the command.
    pub reader: ExecReader,
}

/// Towards a remote command.
#[derive(Clone)]
pub struct ExecWriter {
    messages: mpsc::Sender<Bytes>,
}

/// From a remote command.
pub struct ExecReader {
    events: mpsc::Receiver<Result<ExecEvent, ClientError>>,
    task: JoinHandle<()>,
}

impl Drop for ExecReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ExecWriter {
    /// Bytes for its standard input.
    pub async fn stdin(&mut self, mut bytes: Bytes) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(STDIN_BYTES));
            self.send(STDIN, &piece).await?;
        }
        Ok(())
    }

    /// Ends its standard input.
    pub async fn close_stdin(&mut self) -> Result<(), ClientError> {
        self.send(CLOSE, &[STDIN]).await
    }

    /// The terminal has a new size.
    pub async fn resize(&mut self, width: u16, height: u16) -> Result<(), ClientError> {
        let size = format!(r#"{{"Width":{width},"Height":{height}}}"#);
        self.send(RESIZE, size.as_bytes()).await
    }

    async fn send(&mut self, channel: u8, payload: &[u8]) -> Result<(), ClientError> {
        let mut message = BytesMut::with_capacity(1 + payload.len());
        message.put_u8(channel);
        message.put_slice(payload);
        self.messages.send(message.freeze()).await.map_err(|_| interrupted("the command has ended"))
    }
}

impl ExecReader {
    /// The next event; `None` when the connection ended without a status. Nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Result<Option<ExecEvent>, ClientError> {
        self.events.recv().await.transpose()
    }
}

fn interrupted(cause: impl std::fmt::Display) -> ClientError {
    ClientError::Interrupted { operation: "remote command".to_owned(), cause: cause.to_string() }
}

/// Opens the WebSocket and starts its task.
pub(crate) async fn start(client: &Client, path: &str) -> Result<ExecSession, ClientError> {
    let key = generate_key();
    let mut headers = HeaderMap::new();
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).map_err(|error| wrong("key", error))?);
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    let (answer, io) = client.upgrade(Method::GET, path, headers, "websocket").await?;
    let says = |name| answer.get(name).and_then(|value| value.to_str().ok());
    if says(&SEC_WEBSOCKET_ACCEPT) != Some(&derive_accept_key(key.as_bytes())) {
        return Err(unexpected(&Method::GET, path, "not a WebSocket"));
    }
    if says(&SEC_WEBSOCKET_PROTOCOL) != Some(PROTOCOL) {
        return Err(unexpected(&Method::GET, path, format!("the server does not speak {PROTOCOL}")));
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(STDIN_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
    let (messages, waiting) = mpsc::channel(EXEC_EVENTS);
    let (sender, events) = mpsc::channel(EXEC_EVENTS);
    let task = tokio::spawn(async move {
        if let Err(error) = drive(socket, waiting, &sender).await {
            // The reader may be gone already.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(ExecSession { writer: ExecWriter { messages }, reader: ExecReader { events, task } })
}

/// Carries messages until the status has come, the socket has ended or the reader is gone.
async fn drive(
    mut socket: WebSocketStream<Connected>,
    mut waiting: mpsc::Receiver<Bytes>,
    events: &mpsc::Sender<Result<ExecEvent, ClientError>>,
) -> Result<(), ClientError> {
    let mut ticks = tokio::time::interval(PING_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    let mut writing = true;
    loop {
        tokio::select! {
            message = socket.next() => {
                unanswered = 0;
                let Some(message) = message else { return Ok(()) };
                match event(message.map_err(interrupted)?)? {
                    Some(event) => {
                        let last = matches!(event, ExecEvent::Status(_));
                        if events.send(Ok(event)).await.is_err() || last {
                            let _ = socket.close(None).await;
                            return Ok(());
                        }
                    }
                    None => continue,
                }
            }
            message = waiting.recv(), if writing => match message {
                Some(message) => socket.send(Message::Binary(message)).await.map_err(interrupted)?,
                None => writing = false,
            },
            _ = ticks.tick() => {
                if unanswered > 1 {
                    return Err(interrupted("the server has fallen silent"));
                }
                unanswered += 1;
                socket.send(Message::Ping(Bytes::new())).await.map_err(interrupted)?;
            }
        }
    }
}

fn event(message: Message) -> Result<Option<ExecEvent>, ClientError> {
    let Message::Binary(bytes) = message else { return Ok(None) };
    let Some(channel) = bytes.first() else { return Ok(None) };
    let payload = bytes.slice(1..);
    Ok(match *channel {
        STDOUT | STDERR if payload.is_empty() => None,
        STDOUT => Some(ExecEvent::Stdout(payload)),
        STDERR => Some(ExecEvent::Stderr(payload)),
        STATUS => Some(ExecEvent::Status(serde_json::from_slice(&payload).map_err(interrupted)?)),
        _ => None,
    })
}

/// The exit code in the status of a remote command: 0 for success, the command's own, or `None` when it never ran.
pub fn exit_code(status: &Value) -> Option<i32> {
    if status["status"] == "Success" {
        return Some(0);
    }
    let causes = status["details"]["causes"].as_array()?;
    let cause = causes.iter().find(|cause| cause["reason"] == "ExitCode")?;
    cause["message"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exit_codes_are_found() {
        let check = |status, expected| assert_eq!(exit_code(&status), expected);
        check(json!({"status": "Success"}), Some(0));
        let causes = json!([{"reason": "ExitCode", "message": "137"}]);
        check(json!({"status": "Failure", "details": {"causes": causes}}), Some(137));
        check(json!({"status": "Failure", "message": "container not found"}), None);
    }
}
