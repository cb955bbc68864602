//! Questions for the machine's own DNS servers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Record, RecordType};
use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::Transport;
use super::wire::full;

/// How long one server may take.
const SERVER_TIME: Duration = Duration::from_secs(2);
/// Servers that are asked one after the other, at most.
const MAX_SERVERS: usize = 3;
/// How often the list of servers is read again.
const READ_EVERY: Duration = Duration::from_secs(30);
const PORT: u16 = 53;
/// Largest answer over UDP.
const MAX_UDP_ANSWER: usize = 65_535;

/// Passes questions on.
pub(super) struct Forwarder {
    own: IpAddr,
    resolv_conf: PathBuf,
    servers: RwLock<Vec<SocketAddr>>,
    /// A name that nobody has: a question for it that comes back shows that the servers ask us.
    probe: String,
    in_circles: AtomicBool,
}

impl Forwarder {
    pub fn new(own: Ipv4Addr, resolv_conf: PathBuf) -> Self {
        let probe = format!("{:016x}.gantry-loop-probe.invalid", random());
        let forwarder = Forwarder {
            own: own.into(),
            resolv_conf,
            servers: RwLock::default(),
            probe,
            in_circles: AtomicBool::new(false),
        };
        forwarder.read();
        forwarder
    }

    fn read(&self) -> bool {
        let text = std::fs::read_to_string(&self.resolv_conf).unwrap_or_default();
        let servers: Vec<_> = servers(&text).into_iter().filter(|server| server.ip() != self.own).collect();
        let changed = *self.servers.read() != servers;
        *self.servers.write() = servers;
        changed
    }

    /// Whether somebody asks us what we asked: then nothing is passed on until the servers change.
    pub fn is_own_probe(&self, name: &str) -> bool {
        let own = name == self.probe;
        if own && !self.in_circles.swap(true, Ordering::Relaxed) {
            tracing::error!(file = %self.resolv_conf.display(), "the DNS servers of this machine ask the cluster's, which asks them: other names are not answered");
        }
        own
    }

    /// Keeps the list of servers fresh and looks whether they ask us. Never ends.
    pub async fn keep(&self) {
        let mut first = true;
        loop {
            if self.read() || first {
                self.in_circles.store(false, Ordering::Relaxed);
                self.look_up(&self.probe, RecordType::A).await;
            }
            first = false;
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    /// The answer of the first server that gives one, with the question's id.
    pub async fn forward(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        if self.in_circles.load(Ordering::Relaxed) {
            return None;
        }
        let servers: Vec<_> = self.servers.read().iter().take(MAX_SERVERS).copied().collect();
        let mut asked = question.to_vec();
        let id = random().to_be_bytes();
        asked[..2].copy_from_slice(&id[..2]);
        for server in servers {
            let ask = async {
                match transport {
                    Transport::Udp => ask_udp(server, &asked).await,
                    Transport::Tcp => ask_tcp(server, &asked).await,
                }
            };
            if let Ok(Ok(mut answer)) = tokio::time::timeout(SERVER_TIME, ask).await {
                answer[..2].copy_from_slice(&question[..2]);
                return Some(answer);
            }
        }
        None
    }

    /// The records that other servers have for a name.
    pub async fn look_up(&self, name: &str, kind: RecordType) -> Option<Vec<Record>> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(full(name)?, kind));
        let answer = self.forward(&message.to_vec().ok()?, Transport::Udp).await?;
        Some(Message::from_vec(&answer).ok()?.answers)
    }
}

/// Whether the bytes answer the question: the same id, and an answer.
fn answers(answer: &[u8], question: &[u8]) -> bool {
    answer.len() >= 12 && answer[..2] == question[..2] && answer[2] & 0x80 != 0
}

async fn ask_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; MAX_UDP_ANSWER];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answers(&answer[..length], question) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let mut frame = u16::try_from(question.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
    frame.extend(question);
    stream.write_all(&frame).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if answers(&answer, question) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The servers that a `resolv.conf` lists.
fn servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| Some(SocketAddr::new(rest.trim().parse().ok()?, PORT))).collect()
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_their_lines() {
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 10.0.0.2\n nameserver\t::1 \nnameserver x\n";
        let expected: [SocketAddr; 2] = [([10, 0, 0, 2], 53).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 53).into()];
        assert_eq!(servers(text), expected);
    }

    #[tokio::test]
    async fn nothing_is_passed_on_to_servers_that_ask_us() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let forwarder = Forwarder::new(Ipv4Addr::LOCALHOST, PathBuf::new());
        *forwarder.servers.write() = vec![socket.local_addr().expect("its address")];
        let server = async {
            let mut buffer = [0; 64];
            let (length, from) = socket.recv_from(&mut buffer).await.expect("a question");
            buffer[2] |= 0x80;
            socket.send_to(&buffer[..length], from).await.expect("an answer out");
        };
        let question = [7; 12];
        let (answer, ()) = tokio::join!(forwarder.forward(&question, Transport::Udp), server);
        assert_eq!(answer.map(|answer| answer[..2].to_vec()), Some(vec![7, 7]));
        assert!(!forwarder.is_own_probe("example.org"));
        assert!(forwarder.is_own_probe(&forwarder.probe));
        assert_eq!(forwarder.forward(&question, Transport::Udp).await, None);
    }
}
