//! A client on SPDY: one stream per channel.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{Streams, Version, plain_error};
use crate::StreamError;
use crate::frames::{Channel, Frame};
use crate::limits::{CHUNK_BYTES, RESIZE_BYTES, STREAM_CREATION};
use crate::session::{self, FrameReceiver, FrameSender, Session};
use crate::spdy::{Connection, Stream};

/// What the `streamType` header of a stream says.
pub(super) const STREAM_TYPE: &str = "streamType";

/// The streams that a client opens, by the name they bear.
pub(super) fn expected(streams: Streams, version: Version) -> Vec<(&'static str, Channel)> {
    let all = [
        ("error", Channel::Status, true),
        ("stdin", Channel::Stdin, streams.stdin),
        ("stdout", Channel::Stdout, streams.stdout),
        ("stderr", Channel::Stderr, streams.stderr && !streams.tty),
        ("resize", Channel::Resize, streams.tty && version >= Version::V3),
    ];
    all.into_iter().filter(|(.., wanted)| *wanted).map(|(name, channel, _)| (name, channel)).collect()
}

/// Waits for the streams of a session and starts its tasks.
pub(super) async fn serve<T>(io: T, version: Version, streams: Streams) -> Result<Session, StreamError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut connection = Connection::server(io);
    let opened = collect(&mut connection, expected(streams, version));
    let opened = tokio::time::timeout(STREAM_CREATION, opened).await;
    let opened = opened.map_err(|_| StreamError::Timeout { operation: "wait for the client's streams" })??;
    let (session, Session { incoming, outgoing }) = session::pair();
    tokio::spawn(drive(connection, opened, version, incoming, outgoing));
    Ok(session)
}

async fn collect(
    connection: &mut Connection,
    mut missing: Vec<(&'static str, Channel)>,
) -> Result<BTreeMap<Channel, Stream>, StreamError> {
    let mut opened = BTreeMap::new();
    while !missing.is_empty() {
        let (headers, stream) = connection.accept().await.ok_or(StreamError::Closed)?;
        let kind = headers.get(STREAM_TYPE).unwrap_or_default();
        let Some(at) = missing.iter().position(|(name, _)| *name == kind) else {
            let cause = format!("unexpected stream of type {kind:?}");
            return Err(StreamError::Protocol { operation: "wait for the client's streams", cause });
        };
        opened.insert(missing.swap_remove(at).1, stream);
    }
    Ok(opened)
}

/// Carries a session until it has ended or the client is gone.
async fn drive(
    mut connection: Connection,
    opened: BTreeMap<Channel, Stream>,
    version: Version,
    from: FrameReceiver,
    to: FrameSender,
) {
    let mut writers = BTreeMap::new();
    let mut readers = tokio::task::JoinSet::new();
    for (channel, stream) in opened {
        let (read, write) = tokio::io::split(stream);
        match channel {
            Channel::Stdin => drop(readers.spawn(read_bytes(read, channel, to.clone()))),
            Channel::Resize => drop(readers.spawn(read_sizes(read, to.clone()))),
            // What the client says on the others is nothing; dropping the half would be impolite.
            _ => drop(readers.spawn(read_nothing(read))),
        }
        writers.insert(channel, write);
    }
    let ended = tokio::select! {
        ended = write_frames(&mut writers, version, from) => ended,
        // No more streams are expected: this ends with the connection.
        _ = connection.accept() => false,
    };
    // Only now, so that the session's incoming frames end with the client and not with its standard input.
    drop(to);
    if ended {
        for (_, mut writer) in writers {
            let _ = writer.shutdown().await;
        }
        connection.close().await;
    }
}

/// Turns frames into bytes on streams; false when the client no longer takes them.
async fn write_frames(
    writers: &mut BTreeMap<Channel, WriteHalf<Stream>>,
    version: Version,
    mut from: FrameReceiver,
) -> bool {
    while let Some(frame) = from.receive().await {
        let channel = frame.closes().unwrap_or(frame.channel);
        let Some(writer) = writers.get_mut(&channel) else { continue };
        let result = match frame.channel {
            Channel::Close => writer.shutdown().await,
            Channel::Status => {
                let payload = if version >= Version::V4 { frame.payload } else { plain_error(&frame.payload) };
                let _ = writer.write_all(&payload).await;
                return true;
            }
            _ => writer.write_all(&frame.payload).await,
        };
        if result.is_err() && channel == Channel::Status {
            return false;
        }
    }
    true
}

/// Turns the bytes of a stream into frames, and its end into one that closes the channel.
pub(super) async fn read_bytes<R: AsyncRead + Unpin>(mut read: R, channel: Channel, to: FrameSender) {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match read.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => {
                let payload = Bytes::copy_from_slice(&buffer[..length]);
                if to.send(Frame { channel, payload }).await.is_err() {
                    return;
                }
            }
            // Broken off is not closed: whoever waits for the end must not take this for it.
            Err(_) => return,
        }
    }
    let _ = to.send(Frame::close(channel)).await;
}

/// Every line on the resize stream is a size.
async fn read_sizes(mut read: ReadHalf<Stream>, to: FrameSender) {
    let mut pending = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length @ 1..) = read.read(&mut buffer).await {
        pending.extend_from_slice(&buffer[..length]);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n' || *byte == b'}') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let payload = Bytes::copy_from_slice(line.trim_ascii());
            if !payload.is_empty() && to.send(Frame { channel: Channel::Resize, payload }).await.is_err() {
                return;
            }
        }
        if pending.len() > RESIZE_BYTES {
            return;
        }
    }
}

async fn read_nothing(mut read: ReadHalf<Stream>) {
    let mut buffer = [0; 64];
    while let Ok(1..) = read.read(&mut buffer).await {}
}
