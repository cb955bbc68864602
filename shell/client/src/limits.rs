//! Every bound of this crate, in one place.

use std::time::Duration;

/// TCP connect: two repetitions of its first packet.
pub const DIAL: Duration = Duration::from_secs(4);
/// TLS handshake; a server that is overrun is slow in it, and would be slower if everybody began anew.
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// From sending a request to the head of its response.
pub const RESPONSE: Duration = Duration::from_secs(65);
/// Silence inside the body of a response that is read whole.
pub const BODY_SILENCE: Duration = Duration::from_secs(30);
/// Bytes of a response that is read whole.
pub const BODY_BYTES: usize = 512 << 20;
/// Pings on a connection with requests in flight.
pub const PING_EVERY: Duration = Duration::from_secs(8);
/// How long a ping may stay unanswered before the connection counts as dead: long, as a server under load is not dead.
pub const PING_ANSWER: Duration = Duration::from_secs(60);
/// How long the other machine may acknowledge nothing before the connection counts as dead. Kernels acknowledge, so
/// that this is about machines and lines, however busy the server is.
pub const LINE_SILENCE: Duration = Duration::from_secs(10);
/// Servers that a client knows.
pub const SERVERS: usize = 16;
/// Longest pause before a server that could not be reached is tried again; the pause grows to it, with full jitter.
pub const REDIAL_LAST: Duration = Duration::from_secs(5);
/// How long a client stays with another server than the one it prefers; up to twice that.
pub const REBALANCE: Duration = Duration::from_secs(300);
/// How often a request that the server has put off (429, or 503 with `Retry-After`) is sent in all.
pub const ATTEMPTS: usize = 4;
/// The longest `Retry-After` that is waited for.
pub const RETRY_AFTER_LAST: Duration = Duration::from_secs(30);
/// Difference between this machine's clock and the server's that is not worth a word.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// Objects in one page of a list.
pub const PAGE_OBJECTS: usize = 500;
/// Events of a watch that wait for their reader.
pub const WATCH_EVENTS: usize = 256;
/// How long the server is asked to keep one watch open.
pub const WATCH_SECONDS: u64 = 290;
/// Silence on a watch after which it is opened anew: longer than the server is asked to keep it open.
pub const WATCH_SILENCE: Duration = Duration::from_secs(330);
/// Bytes of one line of a watch.
pub const WATCH_LINE_BYTES: usize = 64 << 20;
/// First pause after a failure; it doubles.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest pause after a failure.
pub const BACKOFF_LAST: Duration = Duration::from_secs(10);
/// Times that a list is begun anew because its pages expired.
pub const LIST_ATTEMPTS: usize = 3;
/// Bytes of the body that comes with a refused upgrade.
pub const REFUSAL_BYTES: usize = 64 << 10;
/// What a remote command says or is told, waiting for its reader.
pub const EXEC_EVENTS: usize = 64;
/// Bytes of one WebSocket message.
pub const MESSAGE_BYTES: usize = 4 << 20;
/// Bytes of stdin in one WebSocket message.
pub const STDIN_BYTES: usize = 32 << 10;
