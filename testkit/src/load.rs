//! Requests as a user of a service sends them: one connection each, as fast as asked, every failure counted.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::machine::Machine;

/// What one request is given.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests that were answered with 200.
    pub answered: u64,
    /// What became of the others, the first hundred of them.
    pub failures: Vec<String>,
    /// Requests in a second.
    pub per_second: f64,
}

/// Threads that send requests until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
    started: Instant,
}

impl Load {
    /// `connections` threads on `machine` that ask `address` for `/`, one new connection a request, pausing `pause`
    /// between two.
    pub fn start(machine: &Machine, address: SocketAddr, connections: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let threads = (0..connections)
            .map(|_| {
                let (stop, answered, netns) = (stop.clone(), answered.clone(), machine.netns());
                std::thread::spawn(move || {
                    let netns = File::open(netns).expect("the namespace");
                    setns(netns, CloneFlags::CLONE_NEWNET).expect("entering the namespace");
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match request(address) {
                            Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                            Err(error) if failures.len() < 100 => failures.push(error),
                            Err(_) => {}
                        }
                        std::thread::sleep(pause);
                    }
                    failures
                })
            })
            .collect();
        Load { stop, answered, threads, started: Instant::now() }
    }

    /// Requests that were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load and says what became of it.
    pub fn stop(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        let elapsed = self.started.elapsed().as_secs_f64();
        let failures: Vec<_> = self.threads.into_iter().flat_map(|t| t.join().expect("a load thread")).collect();
        let answered = self.answered.load(Ordering::Relaxed);
        LoadReport { answered, failures, per_second: answered as f64 / elapsed }
    }
}

/// One request from `machine`: the body of a 200, or what went wrong.
pub fn fetch(machine: &Machine, address: SocketAddr) -> Result<String, String> {
    let netns = machine.netns();
    let thread = std::thread::spawn(move || {
        let netns = File::open(netns).map_err(|e| e.to_string())?;
        setns(netns, CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
        request(address)
    });
    thread.join().expect("the request's thread")
}

fn request(address: SocketAddr) -> Result<String, String> {
    let told = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT).map_err(told("connect"))?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT)).map_err(told("timeout"))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").map_err(told("send"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told("receive"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("cut off: {answer:?}"))?;
    if head.contains(" 200 ") { Ok(body.to_owned()) } else { Err(head.lines().next().unwrap_or_default().to_owned()) }
}
