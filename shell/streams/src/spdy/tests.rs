//! Both roles against each other.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::codec::{Decoder, Encoder, Frame};
use super::{Connection, Headers, Stream};
use crate::limits::{SPDY_BACKLOG, SPDY_BUFFER, SPDY_WINDOW};

fn both() -> (Connection, Connection) {
    let (left, right) = tokio::io::duplex(16 << 10);
    (Connection::client(left), Connection::server(right))
}

async fn opened(client: &Connection, server: &mut Connection, kind: &str) -> (Stream, Stream) {
    let here = client.open(Headers::new([("streamType", kind)])).await.unwrap();
    let (headers, there) = server.accept().await.unwrap();
    assert_eq!(headers.get("streamtype"), Some(kind));
    (here, there)
}

async fn all(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn streams_carry_both_ways_and_close_by_halves() {
    let (client, mut server) = both();
    let (mut here, mut there) = opened(&client, &mut server, "data").await;
    here.accepted().await.unwrap();
    here.write_all(b"request").await.unwrap();
    here.shutdown().await.unwrap();
    assert_eq!(all(&mut there).await, b"request");
    there.write_all(b"response").await.unwrap();
    there.shutdown().await.unwrap();
    assert_eq!(all(&mut here).await, b"response");
    assert!(here.write_all(b"more").await.is_err());
}

#[tokio::test]
async fn a_dropped_stream_resets_the_other_end_only() {
    let (client, mut server) = both();
    let (mut here, there) = opened(&client, &mut server, "a").await;
    let (mut other_here, mut other_there) = opened(&client, &mut server, "b").await;
    drop(there);
    let error = here.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(here.write_all(b"x").await.is_err());
    other_here.write_all(b"still there").await.unwrap();
    other_here.shutdown().await.unwrap();
    assert_eq!(all(&mut other_there).await, b"still there");
}

#[tokio::test]
async fn what_was_written_arrives_when_the_stream_is_shut_down_and_dropped() {
    let (client, mut server) = both();
    let (mut here, mut there) = opened(&client, &mut server, "error").await;
    there.write_all(b"no such port").await.unwrap();
    there.shutdown().await.unwrap();
    drop(there);
    assert_eq!(all(&mut here).await, b"no such port");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_its_writer_back_but_no_other() {
    let (client, mut server) = both();
    let (mut slow_here, mut slow_there) = opened(&client, &mut server, "slow").await;
    let (mut here, mut there) = opened(&client, &mut server, "quick").await;
    let total = 10 * SPDY_WINDOW as usize;
    let writer = tokio::spawn(async move {
        slow_here.write_all(&vec![7; total]).await.unwrap();
        slow_here.shutdown().await.unwrap();
    });
    // While the slow one is stuck, far more than a window goes through the quick one.
    let sender = tokio::spawn(async move {
        here.write_all(&vec![1; total]).await.unwrap();
        here.shutdown().await.unwrap();
    });
    assert_eq!(all(&mut there).await.len(), total);
    sender.await.unwrap();
    assert!(!writer.is_finished());
    assert_eq!(all(&mut slow_there).await, vec![7; total]);
    writer.await.unwrap();
}

#[tokio::test]
async fn closing_delivers_everything_first() {
    let (client, mut server) = both();
    let (mut here, mut there) = opened(&client, &mut server, "stdout").await;
    let read = tokio::spawn(async move { all(&mut here).await.len() });
    there.write_all(&vec![1; 50_000]).await.unwrap();
    there.shutdown().await.unwrap();
    let (closed, ()) = tokio::join!(read, server.close());
    assert_eq!(closed.unwrap(), 50_000);
    drop((client, there));
}

#[tokio::test]
async fn the_end_of_the_connection_ends_all_streams() {
    let (client, mut server) = both();
    let (mut here, there) = opened(&client, &mut server, "a").await;
    drop(server);
    assert!(here.read_u8().await.is_err());
    drop(there);
}

/// A peer that is made of frames.
struct Raw {
    io: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
}

impl Raw {
    async fn send(&mut self, frames: &[Frame]) {
        let mut bytes = BytesMut::new();
        frames.iter().for_each(|frame| self.encoder.encode(frame, &mut bytes).unwrap());
        self.io.write_all(&bytes).await.unwrap();
    }

    async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            if self.io.read_buf(&mut self.decoder.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }
}

async fn raw_client() -> (Raw, Connection) {
    let (io, theirs) = tokio::io::duplex(1 << 20);
    let mut raw = Raw { io, encoder: Encoder::new(), decoder: Decoder::new() };
    let server = Connection::server(theirs);
    assert_eq!(raw.receive().await, Some(Frame::Settings { initial_window: Some(SPDY_WINDOW) }));
    assert!(matches!(raw.receive().await, Some(Frame::WindowUpdate { id: 0, .. })));
    (raw, server)
}

fn syn(id: u32) -> Frame {
    Frame::SynStream { id, headers: Headers::default(), fin: false }
}

#[tokio::test]
async fn a_peer_without_windows_is_served_without_them() {
    let (mut raw, mut server) = raw_client().await;
    raw.send(&[syn(1)]).await;
    let (_, mut stream) = server.accept().await.unwrap();
    assert!(matches!(raw.receive().await, Some(Frame::SynReply { id: 1, .. })));
    // More than any window, and the peer never grants anything.
    let total = 3 * SPDY_WINDOW as usize;
    stream.write_all(&vec![0; total]).await.unwrap();
    let mut received = 0;
    while received < total {
        if let Some(Frame::Data { payload, .. }) = raw.receive().await {
            received += payload.len();
        }
    }
    // One that it does grant makes windows count: what was sent before is three windows, so one is not enough.
    raw.send(&[Frame::WindowUpdate { id: 1, delta: SPDY_WINDOW }]).await;
    raw.send(&[Frame::Ping(1)]).await;
    assert_eq!(raw.receive().await, Some(Frame::Ping(1)));
    let held = tokio::time::timeout(Duration::from_millis(20), stream.write_all(b"x")).await;
    assert!(held.is_err());
}

#[tokio::test]
async fn a_peer_that_ignores_windows_is_stopped_by_its_connection() {
    let (mut raw, mut server) = raw_client().await;
    raw.send(&[syn(1)]).await;
    let (_, mut stream) = server.accept().await.unwrap();
    let chunk = Frame::Data { id: 1, payload: vec![0; 32 << 10].into(), fin: false };
    let flood = async {
        for _ in 0..1000 {
            raw.send(std::slice::from_ref(&chunk)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(100), flood).await.is_err());
    let mut read = vec![0; SPDY_BUFFER];
    stream.read_exact(&mut read).await.unwrap();
}

#[tokio::test]
async fn streams_out_of_order_end_the_connection_and_too_many_are_refused() {
    let (mut raw, mut server) = raw_client().await;
    let many: Vec<_> = (0..SPDY_BACKLOG as u32 + 1).map(|n| syn(2 * n + 1)).collect();
    raw.send(&many).await;
    loop {
        match raw.receive().await.unwrap() {
            Frame::SynReply { .. } => {}
            other => {
                assert_eq!(other, Frame::Reset { id: 2 * SPDY_BACKLOG as u32 + 1, status: 3 });
                break;
            }
        }
    }
    raw.send(&[Frame::Data { id: 99_999, payload: "x".into(), fin: false }]).await;
    assert_eq!(raw.receive().await, Some(Frame::Reset { id: 99_999, status: 2 }));
    raw.send(&[syn(1)]).await;
    for _ in 0..SPDY_BACKLOG {
        assert!(server.accept().await.is_some());
    }
    assert!(server.accept().await.is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_sequence_of_frames_is_survived(pieces in proptest::collection::vec((0u8..9, 0u32..8, any::<bool>(), 0usize..3000), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (io, theirs) = tokio::io::duplex(1 << 20);
            let mut raw = Raw { io, encoder: Encoder::new(), decoder: Decoder::new() };
            let mut server = Connection::server(theirs);
            let mut bytes = BytesMut::new();
            for (kind, id, fin, size) in pieces {
                let frame = match kind {
                    0 => Frame::SynStream { id, headers: Headers::new([("a", "b")]), fin },
                    1 => Frame::SynReply { id, headers: Headers::default(), fin },
                    2 => Frame::Reset { id, status: id },
                    3 => Frame::Settings { initial_window: fin.then_some(size as u32) },
                    4 => Frame::Ping(id),
                    5 => Frame::GoAway { last: id },
                    6 => Frame::Headers { id, fin },
                    7 => Frame::WindowUpdate { id, delta: u32::MAX },
                    _ => Frame::Data { id, payload: vec![0; size].into(), fin },
                };
                raw.encoder.encode(&frame, &mut bytes).unwrap();
            }
            bytes.put_slice(&[0xff; 3]);
            raw.io.write_all(&bytes).await.unwrap();
            raw.io.shutdown().await.unwrap();
            let mut streams = Vec::new();
            while let Some((_, mut stream)) = server.accept().await {
                let _ = stream.write_all(b"hello").await;
                streams.push(stream);
            }
            for mut stream in streams {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
}
