//! Every bound of this crate, in one place.

use std::time::Duration;

/// Payload bytes of one frame between server and node.
pub const FRAME_BYTES: usize = 1 << 20;
/// Payload bytes that are put into one outgoing frame or message.
pub const CHUNK_BYTES: usize = 32 << 10;
/// Frames that wait in a session, each way.
pub const SESSION_FRAMES: usize = 16;
/// Streams that one SPDY connection may have open at a time.
pub const SPDY_STREAMS: usize = 1024;
/// Bytes of one SPDY frame.
pub const SPDY_FRAME_BYTES: usize = 1 << 20;
/// Bytes of one SPDY header block after decompression.
pub const SPDY_HEADER_BYTES: usize = 64 << 10;
/// Pairs in one SPDY header block.
pub const SPDY_HEADERS: usize = 256;
/// Bytes that a SPDY peer may send on one stream before somebody reads.
pub const SPDY_WINDOW: u32 = 64 << 10;
/// Bytes that a SPDY peer may send on one connection before somebody reads.
pub const SPDY_CONNECTION_WINDOW: u32 = 16 << 20;
/// Bytes of one SPDY stream that wait for their reader before its connection is read no further.
pub const SPDY_BUFFER: usize = 256 << 10;
/// Pings of a SPDY peer that wait for their answer; more are not answered.
pub const SPDY_PINGS: usize = 16;
/// Outgoing SPDY frames that wait for the connection.
pub const SPDY_QUEUE: usize = 64;
/// Streams opened by the peer that nobody has accepted yet.
pub const SPDY_BACKLOG: usize = 64;
/// Bytes of one WebSocket message.
pub const MESSAGE_BYTES: usize = 1 << 20;
/// Protocol names that a client may offer.
pub const OFFERED_PROTOCOLS: usize = 32;
/// Bytes of one terminal size.
pub const RESIZE_BYTES: usize = 1024;
/// Bytes of the status of a remote command.
pub const STATUS_BYTES: u64 = 64 << 10;
/// Bytes of the body that comes with a refused upgrade.
pub const REFUSAL_BYTES: usize = 4 << 10;
/// Errors to be told about one forwarded connection, in bytes.
pub const ERROR_BYTES: usize = 4 << 10;
/// Forwarded connections of which only one half has arrived.
pub const HALF_PAIRS: usize = 64;
/// How long an upgraded client may take to open the streams it announced.
pub const STREAM_CREATION: Duration = Duration::from_secs(30);
/// How long dialling a runtime's streaming server may take.
pub const DIAL: Duration = Duration::from_secs(30);
/// How long a forwarded connection may miss the other half of its pair of streams.
pub const PAIR: Duration = Duration::from_secs(30);
/// How long the end of a session may take to reach the client.
pub const FAREWELL: Duration = Duration::from_secs(10);
