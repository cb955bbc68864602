//! One remote command, seen from the middle: frames that come and frames that go, whatever carries them.

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

use crate::StreamError;
use crate::frames::{Channel, Frame};
use crate::limits::{CHUNK_BYTES, SESSION_FRAMES};

/// Both directions of a remote command.
pub struct Session {
    /// Frames from the peer.
    pub incoming: FrameReceiver,
    /// Frames to the peer; dropping all senders ends the session.
    pub outgoing: FrameSender,
}

/// The receiving half of a session.
pub struct FrameReceiver(mpsc::Receiver<Frame>);

/// The sending half of a session.
#[derive(Clone)]
pub struct FrameSender(mpsc::Sender<Frame>);

impl FrameReceiver {
    /// The next frame; `None` when the peer is gone or has said all. Nothing is lost when the future is dropped.
    pub async fn receive(&mut self) -> Option<Frame> {
        self.0.recv().await
    }
}

impl FrameSender {
    /// Sends a frame once there is room for it.
    pub async fn send(&self, frame: Frame) -> Result<(), StreamError> {
        self.0.send(frame).await.map_err(|_| StreamError::Closed)
    }

    /// Sends bytes on a channel, in as many frames as they need.
    pub async fn send_all(&self, channel: Channel, mut bytes: Bytes) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            let payload = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            self.send(Frame { channel, payload }).await?;
        }
        Ok(())
    }

    /// Waits until the peer no longer takes frames.
    pub async fn closed(&self) {
        self.0.closed().await
    }
}

/// Two sessions back to back: what one sends the other receives.
pub fn pair() -> (Session, Session) {
    let (there, here) = (mpsc::channel(SESSION_FRAMES), mpsc::channel(SESSION_FRAMES));
    let left = Session { incoming: FrameReceiver(here.1), outgoing: FrameSender(there.0) };
    let right = Session { incoming: FrameReceiver(there.1), outgoing: FrameSender(here.0) };
    (left, right)
}

/// Carries frames between two sessions until a status has passed from `command` to `client` or one of them is gone.
/// A client always hears how it ended.
pub async fn join(client: Session, command: Session) {
    let Session { incoming: mut from_client, outgoing: to_client } = client;
    let Session { incoming: mut from_command, outgoing: to_command } = command;
    let inward = async {
        while let Some(frame) = from_client.receive().await {
            if to_command.send(frame).await.is_err() {
                // The command is gone; what it said last is still under way in the other direction.
                std::future::pending::<()>().await;
            }
        }
    };
    let outward = async {
        while let Some(frame) = from_command.receive().await {
            let last = frame.channel == Channel::Status;
            if to_client.send(frame).await.is_err() || last {
                return;
            }
        }
        let _ = to_client.send(Frame::new(Channel::Status, lost())).await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

fn lost() -> Vec<u8> {
    let message = "the connection to the node ended before the command did";
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
           "reason": "InternalError", "code": 500})
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(mut session: FrameReceiver) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = session.receive().await {
            frames.push(frame);
        }
        frames
    }

    #[tokio::test]
    async fn a_status_ends_the_session() {
        let ((user, client), (node, command)) = (pair(), pair());
        let joined = tokio::spawn(join(client, command));
        let stdin = Frame::new(Channel::Stdin, "in");
        user.outgoing.send(stdin.clone()).await.unwrap();
        let (mut from_user, to_user) = (node.incoming, node.outgoing);
        assert_eq!(from_user.receive().await, Some(stdin));
        let said = [Frame::new(Channel::Stdout, "out"), Frame::new(Channel::Status, "{}")];
        for frame in &said {
            to_user.send(frame.clone()).await.unwrap();
        }
        joined.await.unwrap();
        assert_eq!(frames(user.incoming).await, said);
    }

    #[tokio::test]
    async fn a_client_that_leaves_ends_the_command() {
        let ((user, client), (node, command)) = (pair(), pair());
        let joined = tokio::spawn(join(client, command));
        drop(user);
        joined.await.unwrap();
        assert_eq!(frames(node.incoming).await, []);
    }

    #[tokio::test]
    async fn a_node_that_leaves_is_told_to_the_client() {
        let ((user, client), (node, command)) = (pair(), pair());
        let joined = tokio::spawn(join(client, command));
        node.outgoing.send(Frame::new(Channel::Stdout, "half")).await.unwrap();
        drop(node);
        joined.await.unwrap();
        let heard = frames(user.incoming).await;
        assert_eq!(heard[0], Frame::new(Channel::Stdout, "half"));
        assert_eq!(heard[1].channel, Channel::Status);
        assert!(String::from_utf8_lossy(&heard[1].payload).contains("connection to the node ended"));
    }
}
