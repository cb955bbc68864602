//! Frames of streams: those between server and node, and those of SPDY connections.

use std::time::Duration;

use gantry_streams::frames::Decoder;
use gantry_streams::spdy::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::hold;
use crate::Random;

/// Bytes of answers to one byte of input, at the most.
const ANSWER_OF_A_BYTE: usize = 64;
/// Longer than any wait of a connection; the clock moves only when nothing else can.
const FOREVER: Duration = Duration::from_secs(3600);

/// Frames do not depend on the pieces that they arrive in, and become the bytes that they were.
pub fn node(input: &[u8]) -> Result<bool, String> {
    let (whole, well) = frames(&[input]);
    let halves = input.split_at(input.len() / 2);
    hold(frames(&[halves.0, halves.1]) == (whole.clone(), well), || "pieces matter".to_owned())?;
    let single: Vec<&[u8]> = input.chunks(1).collect();
    hold(frames(&single) == (whole.clone(), well), || "single bytes matter".to_owned())?;
    let written: Vec<u8> = whole.concat();
    hold(input.starts_with(&written), || format!("written as {}", written.escape_ascii()))?;
    Ok(!whole.is_empty())
}

/// The frames that are found, written again, and whether reading ended well.
fn frames(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push(frame.encode().to_vec()),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// A few frames with payloads.
pub fn some_node_frames(random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.below(5) {
        let length = random.below(40);
        input.push(random.below(8) as u8);
        input.extend((length as u32).to_be_bytes());
        input.extend(random.bytes(length));
    }
    input
}

/// A peer that sends anything is answered with a bounded number of bytes, and the connection comes to its end.
pub fn spdy(input: &[u8]) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let (mut peer, here) = tokio::io::duplex(1 << 20);
        let mut connection = Connection::server(here);
        let _ = peer.write_all(input).await;
        let _ = peer.shutdown().await;
        let mut streams = 0;
        let ended = tokio::time::timeout(FOREVER, async {
            while connection.accept().await.is_some() {
                streams += 1;
            }
        });
        hold(ended.await.is_ok(), || "the connection never ends".to_owned())?;
        hold(streams <= input.len(), || format!("{streams} streams"))?;
        drop(connection);
        let mut answer = Vec::new();
        let read = tokio::time::timeout(FOREVER, peer.read_to_end(&mut answer));
        hold(read.await.is_ok(), || "the answer never ends".to_owned())?;
        let most = 1024 + ANSWER_OF_A_BYTE * input.len();
        hold(answer.len() <= most, || format!("{} bytes of answer", answer.len()))?;
        Ok(streams > 0 || !answer.is_empty())
    })
}

/// Frames with sound heads and any content: settings, pings, resets, windows, data, headers that are no headers.
pub fn some_spdy_frames(random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..1 + random.below(6) {
        let length = [4, 8, 10, random.below(30), 70_000][if random.once_in(30) { 4 } else { random.below(4) }];
        if random.once_in(3) {
            input.extend((random.below(6) as u32).to_be_bytes());
        } else {
            input.extend([0x80, 3, 0, 1 + random.below(10) as u8]);
        }
        input.push(random.below(3) as u8);
        let claimed = if random.once_in(10) { length + 3 } else { length };
        input.extend(&(claimed as u32).to_be_bytes()[1..]);
        let content: Vec<u8> = (0..length.min(200)).map(|_| (random.draw() & 7) as u8).collect();
        input.extend(content);
    }
    input
}
