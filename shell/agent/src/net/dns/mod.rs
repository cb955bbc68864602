//! The DNS server: cluster names from the zone, all others from the machine's own servers.
//!
//! Invariants: a cluster name is answered from memory and never leaves the machine; a question that is passed on
//! waits in a bounded set and is answered, with a failure if need be, within a bounded time.

mod forward;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gantry_net::dns::Zone;
use hickory_proto::op::{Message, ResponseCode};
use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::metrics::{Metrics, count};
use forward::Forwarder;
use wire::Question;

/// Questions that may wait for other servers; further ones fail at once.
const MAX_FORWARDED: usize = 1024;
/// TCP connections at a time.
const MAX_CONNECTIONS: usize = 256;
/// Silence after which a TCP connection is closed.
const IDLE: Duration = Duration::from_secs(10);
/// Pause before listening is tried again.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// Largest question over UDP.
const MAX_UDP_QUESTION: usize = 4096;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Answers questions.
pub(super) struct Server {
    zone: Arc<RwLock<Zone>>,
    forwarder: Forwarder,
    waiting: Arc<Semaphore>,
    turn: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// What is known about an answer without asking anybody.
enum Step {
    Done(Option<Vec<u8>>),
    /// The answer, which ends at a name that others know.
    Chase(Box<Question>, Message, String),
    Forward(Box<Question>),
}

impl Server {
    pub fn new(zone: Arc<RwLock<Zone>>, own: Ipv4Addr, resolv_conf: PathBuf, metrics: Arc<Metrics>) -> Arc<Self> {
        let waiting = Arc::new(Semaphore::new(MAX_FORWARDED));
        let forwarder = Forwarder::new(own, resolv_conf);
        Arc::new(Server { zone, forwarder, waiting, turn: AtomicUsize::new(0), metrics })
    }

    fn step(&self, bytes: &[u8], transport: Transport) -> Step {
        count(&self.metrics.dns_queries);
        let question = match Question::parse(bytes, transport) {
            Ok(question) => question,
            Err(refusal) => return Step::Done(refusal),
        };
        if self.forwarder.is_own_probe(&question.name) {
            return Step::Done(question.failure(ResponseCode::NXDomain));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let zone = self.zone.read();
        let Some(answer) = zone.answer(&question.name, question.kind(), turn) else {
            return Step::Forward(Box::new(question));
        };
        let message = question.answer(&answer, &zone.authority());
        drop(zone);
        match answer.chase {
            Some(target) => Step::Chase(Box::new(question), message, target),
            None => Step::Done(question.encode(message)),
        }
    }

    /// Finishes an answer that needs others.
    async fn finish(&self, step: Step) -> Option<Vec<u8>> {
        match step {
            Step::Done(reply) => reply,
            Step::Chase(question, mut message, target) => {
                count(&self.metrics.dns_forwarded);
                if let Some(records) = self.forwarder.look_up(&target, question.record_type()).await {
                    message.add_answers(records);
                }
                question.encode(message)
            }
            Step::Forward(question) => {
                count(&self.metrics.dns_forwarded);
                let reply = self.forwarder.forward(&question.bytes, question.transport).await;
                reply.or_else(|| {
                    count(&self.metrics.dns_failures);
                    question.failure(ResponseCode::ServFail)
                })
            }
        }
    }

    async fn serve_udp(self: Arc<Self>, socket: Arc<UdpSocket>) {
        let mut buffer = [0; MAX_UDP_QUESTION];
        loop {
            // An error here is about one packet: an earlier answer found nobody.
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
            match self.step(&buffer[..length], Transport::Udp) {
                Step::Done(Some(reply)) => {
                    let _ = socket.send_to(&reply, client).await;
                }
                Step::Done(None) => {}
                step => {
                    let Ok(permit) = self.waiting.clone().try_acquire_owned() else { continue };
                    let (server, socket) = (self.clone(), socket.clone());
                    tokio::spawn(async move {
                        if let Some(reply) = server.finish(step).await {
                            let _ = socket.send_to(&reply, client).await;
                        }
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else { continue };
            let server = self.clone();
            tokio::spawn(async move {
                if let Err(error) = server.converse(stream).await {
                    tracing::debug!(%error, "a DNS connection ended");
                }
                drop(permit);
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
            let mut question = vec![0; usize::from(length)];
            tokio::time::timeout(IDLE, stream.read_exact(&mut question)).await??;
            let Some(reply) = self.finish(self.step(&question, Transport::Tcp)).await else { return Ok(()) };
            let mut frame = u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
            frame.extend(reply);
            tokio::time::timeout(IDLE, stream.write_all(&frame)).await??;
        }
    }
}

/// The sockets of a server.
pub(super) async fn listen(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    Ok((UdpSocket::bind(address).await?, TcpListener::bind(address).await?))
}

/// Answers on UDP and TCP. Never ends.
pub(super) async fn answer_all(server: Arc<Server>, (udp, tcp): (UdpSocket, TcpListener)) {
    tokio::join!(server.clone().serve_udp(Arc::new(udp)), server.clone().serve_tcp(tcp), server.forwarder.keep());
}

/// Listens, again and again until that is possible, and answers until `shutdown`.
pub(super) async fn serve(server: Arc<Server>, address: SocketAddr, shutdown: CancellationToken) {
    let work = async {
        loop {
            match listen(address).await {
                Ok(sockets) => return answer_all(server, sockets).await,
                Err(error) => tracing::error!(%address, %error, "cannot answer cluster names"),
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// A question that is known to be one.
#[cfg(test)]
pub(super) fn question(bytes: &[u8], transport: Transport) -> Question {
    Question::parse(bytes, transport).expect("a question")
}
