//! One remote command, seen from the middle: frames that come and frames that go, whatever carries them.

use bytes::Bytes;
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

/// Carries frames between two sessions until a status has passed from `command` to `client` or one of them ends.
pub async fn join(client: Session, command: Session) {
    let Session { incoming: mut from_client, outgoing: to_client } = client;
    let Session { incoming: mut from_command, outgoing: to_command } = command;
    let inward = async move {
        while let Some(frame) = from_client.receive().await {
            if to_command.send(frame).await.is_err() {
                break;
            }
        }
        // The command goes on: its end, not the client's silence, ends the session. Only a client that no longer
        // takes frames does.
        drop(to_command);
        std::future::pending::<()>().await
    };
    let outward = async move {
        while let Some(frame) = from_command.receive().await {
            let last = frame.channel == Channel::Status;
            if to_client.send(frame).await.is_err() || last {
                break;
            }
        }
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}
