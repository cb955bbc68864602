//! A node with pods and a client outside, as network namespaces that vanish with their threads.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `test` in a network namespace of its own; only root can.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: network namespaces need root");
        return;
    }
    let work = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        run("ip link set lo up");
        test();
    };
    let done = std::thread::spawn(work).join();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a program in the caller's namespace.
pub fn run(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let output = Command::new(words[0]).args(&words[1..]).output().expect("the program");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

type Job = Box<dyn FnOnce() + Send>;

/// A machine or pod beside the node, with a namespace of its own.
pub struct Peer {
    jobs: Sender<Job>,
}

impl Peer {
    /// A peer at `address`, reached over a link whose near end has `gateway`, as a pod is by `ptp`.
    pub fn new(name: &str, address: &str, gateway: &str) -> Self {
        let (jobs, inbox): (Sender<Job>, Receiver<Job>) = channel();
        let (sender, thread) = channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            sender.send(nix::unistd::gettid()).expect("the test");
            inbox.into_iter().for_each(|job| job());
        });
        let thread = thread.recv().expect("the peer's thread");
        run(&format!("ip link add {name} type veth peer name eth0 netns {thread}"));
        run(&format!("ip address add {gateway}/32 dev {name}"));
        run(&format!("ip link set {name} up"));
        run(&format!("ip route add {address}/32 dev {name} src {gateway}"));
        let peer = Peer { jobs };
        let (address, gateway) = (address.to_owned(), gateway.to_owned());
        peer.inside(move || {
            run("ip link set lo up");
            run(&format!("ip address add {address}/32 dev eth0"));
            run("ip link set eth0 up");
            run(&format!("ip route add {gateway}/32 dev eth0"));
            run(&format!("ip route add default via {gateway} src {address}"));
        });
        peer
    }

    /// Does something inside the peer.
    pub fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = channel();
        self.jobs.send(Box::new(move || sender.send(job()).expect("the test"))).expect("the peer's thread");
        result.recv().expect("the peer's answer")
    }

    /// Answers TCP connections and UDP packets with its name and who asked, and then whatever is sent to it.
    pub fn serve(&self, name: &'static str, port: u16) {
        self.inside(move || serve(name, SocketAddr::from(([0, 0, 0, 0], port))));
    }
}

/// The same, in the caller's namespace.
pub fn serve(name: &'static str, address: SocketAddr) {
    let (tcp, udp) = (TcpListener::bind(address).expect("a port"), UdpSocket::bind(address).expect("a port"));
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            std::thread::spawn(move || stream.and_then(|stream| converse(stream, name)));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(format!("{name} {}", from.ip()).as_bytes(), from);
        }
    });
}

fn converse(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.write_all(format!("{name} {}", stream.peer_addr()?.ip()).as_bytes())?;
    let mut buffer = [0; 64];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..length])?;
    }
}

/// One TCP connection: what was answered, or the kind of error. The connection stays open as long as it is kept.
pub fn ask(address: &str) -> (String, Option<TcpStream>) {
    let address: SocketAddr = address.parse().expect("an address");
    match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
        Ok(mut stream) => {
            stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
            let mut buffer = [0; 64];
            match stream.read(&mut buffer) {
                Ok(length) => (String::from_utf8_lossy(&buffer[..length]).into_owned(), Some(stream)),
                Err(error) => (error.kind().to_string(), None),
            }
        }
        Err(error) => (error.kind().to_string(), None),
    }
}

/// One packet on a socket that is kept: what was answered, or nothing.
pub fn ask_udp(socket: &UdpSocket, to: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a bound");
    socket.send_to(question, to).expect("a packet out");
    let mut buffer = [0; 1500];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

/// A socket for questions.
pub fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket")
}
