//! Every bound of this crate, in one place.

use std::time::Duration;

/// Connections that are served at a time.
pub const CONNECTIONS: usize = 10_000;
/// Requests that one HTTP/2 connection may have open at a time.
pub const STREAMS_PER_CONNECTION: u32 = 1000;
/// Bytes of the headers of one request.
pub const HEADER_BYTES: u32 = 64 << 10;
/// Bytes of one request body.
pub const BODY_BYTES: usize = 3 << 20;
/// How long no connection is accepted after one could not be.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a TLS handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long an HTTP/1.1 client may take to send the headers of its next request.
pub const HEADER_WAIT: Duration = Duration::from_secs(60);
/// How long a request may take until its answer begins.
pub const REQUEST: Duration = Duration::from_secs(60);
/// How long the client of a watch may take none of what is sent to him.
pub const UNREAD: Duration = Duration::from_secs(20);
/// How often an idle HTTP/2 connection is asked whether it still lives.
pub const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long it may take to answer.
pub const PING_WAIT: Duration = Duration::from_secs(15);
/// How long requests may go on after a shutdown began.
pub const SHUTDOWN: Duration = Duration::from_secs(5);
/// Shortest life of a watch that names no timeout; the longest is twice that.
pub const WATCH_LIFE: Duration = Duration::from_secs(1800);
/// How often a watch that wants bookmarks gets one.
pub const BOOKMARKS: Duration = Duration::from_secs(60);
/// Encoded events that are kept for other watchers.
pub const SHARED_FRAMES: usize = 256;
/// Bytes of a list or of initial events that are sent in one piece.
pub const PIECE_BYTES: usize = 64 << 10;
/// Bytes from which on an answer is compressed.
pub const GZIP_FROM: usize = 128 << 10;
/// How long a read waits for a revision that is still to come.
pub const FRESHNESS: Duration = Duration::from_secs(3);
/// How long `/readyz` waits until the store confirms that the view is the newest.
pub const READINESS: Duration = Duration::from_secs(2);
/// Bytes of an audit id that a client may choose.
pub const AUDIT_ID_BYTES: usize = 1024;
/// Seats of all priority levels together: requests that are worked on at a time.
pub const SEATS: usize = 600;
/// Objects that are listed from one seat.
pub const OBJECTS_PER_SEAT: usize = 100;
/// Seats that one request takes at the most.
pub const SEATS_OF_ONE: usize = 10;
/// How long a request waits for a seat.
pub const LINE_WAIT: Duration = Duration::from_secs(15);
/// Seconds after which whoever was told to come back does so, at the most.
pub const RETRY_AFTER: u64 = 30;
/// Objects of a deletecollection that are deleted at a time.
pub const DELETES_AT_A_TIME: usize = 16;
/// Bytes of all warnings of one answer.
pub const WARNING_BYTES: usize = 4 << 10;
/// Tunnels that one node may hold open.
pub const TUNNELS_PER_NODE: usize = 4;
/// How long a node may take to begin its answer.
pub const NODE_ANSWER: Duration = Duration::from_secs(30);
/// Bytes of a node's refusal that are read.
pub const NODE_REFUSAL_BYTES: usize = 64 << 10;
/// How long connecting to the backend of a proxied request may take.
pub const DIAL: Duration = Duration::from_secs(30);
/// Bytes that wait in either direction of a connection through a node.
pub const DIALLED_BYTES: usize = 64 << 10;
/// Bytes of a proxied HTML page, whose links are rewritten.
pub const PROXIED_HTML_BYTES: usize = 8 << 20;
/// How long the upgrade of a connection may take.
pub const UPGRADE: Duration = Duration::from_secs(30);
/// Calls that one webhook has under way at a time.
pub const WEBHOOK_CALLS: usize = 16;
/// Requests that wait for a call of one webhook.
pub const WEBHOOK_WAITING: usize = 48;
/// Bytes of a webhook's answer.
pub const WEBHOOK_ANSWER_BYTES: usize = 32 << 20;
/// How long the conversion of objects by a webhook may take.
pub const CONVERSION_WAIT: Duration = Duration::from_secs(30);
/// Objects that a webhook is asked to convert in one call.
pub const CONVERSION_OBJECTS: usize = 500;
/// Bytes of objects from which on no more are put into the same call.
pub const CONVERSION_BYTES: usize = 2 << 20;
/// Calls that convert the objects of one list at a time.
pub const CONVERSIONS_AT_A_TIME: usize = 4;
/// Changes of custom objects that are kept as other watchers of the same version will see them.
pub const CONVERTED_CHANGES: usize = 256;
/// How long another API server may take to say what it serves.
pub const AGGREGATED_CHECK: Duration = Duration::from_secs(5);
/// How often one that answers is asked again.
pub const AGGREGATED_AGAIN: Duration = Duration::from_secs(30);
/// How soon one that did not answer is asked again.
pub const AGGREGATED_RETRY: Duration = Duration::from_secs(2);
/// How long changes of services are gathered before the servers behind them are asked.
pub const AGGREGATED_SETTLE: Duration = Duration::from_millis(100);
/// Bytes of a document of another API server.
pub const AGGREGATED_ANSWER_BYTES: usize = 32 << 20;
/// Connections that one port-forward may have open at a time.
pub const FORWARDED: usize = 256;
/// Items of a binary list that are measured before others get the thread.
pub(crate) const ITEMS_MEASURED: usize = 64;
/// Bytes of small writes that wait for the end of a connection's turn.
pub(crate) const GATHERED_BYTES: usize = 32 << 10;
/// A write of so many bytes is sent by itself.
pub(crate) const GATHERED_WRITE: usize = 8 << 10;
/// Keys of one limit of the rate of events that are told apart at the most.
pub const EVENT_BUCKETS: usize = 4096;
/// Audit events that wait to be written.
pub const AUDIT_QUEUE: usize = 16_384;
/// How long the thread that writes audit events sleeps when there are none.
pub const AUDIT_FLUSH: Duration = Duration::from_secs(5);
/// Bytes of an answer that the audit log takes in.
pub const AUDIT_BODY_BYTES: usize = 4 << 20;
/// Bytes of the answer of an authorizer outside.
pub(crate) const AUTHORIZER_ANSWER_BYTES: usize = 1 << 20;
/// Connections to an authorizer outside that wait for the next question.
pub(crate) const AUTHORIZER_IDLE: usize = 16;
/// Calls of one authorizer outside that are under way at a time; others wait within their time-out.
pub(crate) const AUTHORIZER_CALLS: usize = 64;
/// Answers of one authorizer outside that are kept.
pub(crate) const AUTHORIZER_ANSWERS: usize = 8192;
/// A question of more bytes is not kept.
pub(crate) const AUTHORIZER_QUESTION_BYTES: usize = 10_000;
/// How often an authorizer outside is called when it fails for the time being.
pub(crate) const AUTHORIZER_TRIES: usize = 5;
/// The pause before it is called again; each is half as long again as the one before.
pub(crate) const AUTHORIZER_PAUSE: Duration = Duration::from_millis(500);
/// How often the file of authorizers is looked at.
pub(crate) const AUTHORIZATION_POLL: Duration = Duration::from_secs(5);
