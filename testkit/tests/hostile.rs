//! A client that means no good: whatever it sends, nobody panics, nobody else waits, no answer is a 500, and the memory
//! that it cost comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_fuzz::Random;
use gantry_fuzz::requests::{Flood, request};
use gantry_testkit::{Alone, Api, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Requests of the test; `GANTRY_HOSTILE` sets another number.
const REQUESTS: usize = 2000;
/// Connections that send them.
const LANES: usize = 32;
/// Frames of each flood.
const FRAMES: u32 = 3000;
/// Connections that are opened and left alone.
const IDLE: usize = 100;
/// Connections that ask for much and read nothing.
const DEAF: usize = 16;
/// How long the server may take to say what it says to one client.
const ANSWER: Duration = Duration::from_millis(400);
/// How long somebody else's request may take meanwhile, on a busy machine.
const OTHERS: Duration = Duration::from_secs(10);
/// How long the memory may take to come back, and what an allocator may keep of it.
const MEMORY_WAIT: Duration = Duration::from_secs(60);
const KEPT_BYTES: u64 = 64 << 20;

/// The codes of all answers in what was read that no server should give.
fn failures(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let codes = text.split("HTTP/1.1 ").skip(1).filter_map(|head| head.get(..3)?.parse().ok());
    codes.filter(|code| *code >= 500 && !matches!(code, 503 | 504)).collect()
}

/// Sends the bytes over a connection of its own, and reads what comes back for a moment.
async fn say(api: &Api, bytes: &[u8]) -> Vec<u8> {
    let mut connection = api.dial().await.expect("a connection");
    let mut answer = Vec::new();
    let conversation = async {
        let _ = connection.write_all(bytes).await;
        let _ = connection.flush().await;
        let _ = (&mut connection).take(1 << 20).read_to_end(&mut answer).await;
    };
    let _ = timeout(ANSWER, conversation).await;
    answer
}

/// Sends requests `from..to`, each made of its number; what was answered that should not have been.
async fn attack(api: &Api, from: usize, to: usize) -> Vec<String> {
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let api = api.clone();
        lanes.spawn(async move {
            let mut wrong = Vec::new();
            for at in (from + lane..to).step_by(LANES) {
                let mut random = Random::new(at as u64);
                let bytes = request(&mut random).http1(&mut random);
                let answer = say(&api, &bytes).await;
                for code in failures(&answer) {
                    wrong.push(format!("{at}: {code} to {}", bytes[..bytes.len().min(300)].escape_ascii()));
                }
            }
            wrong
        });
    }
    lanes.join_all().await.into_iter().flatten().collect()
}

/// Another client's request goes on.
async fn others_are_served(api: &Api) {
    let began = Instant::now();
    let answer = api.client().get("/api/v1/namespaces/default/configmaps", OTHERS).await;
    assert_eq!(answer.map(|answer| answer.code), Ok(200), "after {:?}", began.elapsed());
}

/// Connections that say nothing more, or half a request.
async fn idle(api: &Api) -> Vec<TlsStream<TcpStream>> {
    let halves: [&[u8]; 3] = [
        b"",
        b"GET /api/v1/pods HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{",
    ];
    open(api, IDLE, |at| halves[at % halves.len()].to_vec()).await
}

/// Connections that ask for much, again and again, and read none of it.
async fn deaf(api: &Api) -> Vec<TlsStream<TcpStream>> {
    open(api, DEAF, |_| b"GET /openapi/v2 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)).await
}

async fn open(api: &Api, count: usize, say: impl Fn(usize) -> Vec<u8>) -> Vec<TlsStream<TcpStream>> {
    let mut connections = Vec::new();
    for at in 0..count {
        let mut connection = api.dial().await.expect("a connection");
        connection.write_all(&say(at)).await.expect("what fits into the buffers of a connection");
        connection.flush().await.expect("what fits into the buffers of a connection");
        connections.push(connection);
    }
    connections
}

#[test]
fn a_hostile_client_hurts_nobody_but_itself() {
    let count = std::env::var("GANTRY_HOSTILE").ok().and_then(|text| text.parse().ok()).unwrap_or(REQUESTS);
    let mut server = Alone::new();
    let api = Arc::new(server.start(""));
    let runtime = Runtime::new().expect("a runtime");
    // Documents and caches that are made once are there afterwards.
    let warm = count / 10;
    let mut wrong = runtime.block_on(attack(&api, 0, warm));
    let before = server.resident_bytes();
    wrong.extend(runtime.block_on(async {
        let held = (idle(&api).await, deaf(&api).await);
        others_are_served(&api).await;
        let wrong = attack(&api, warm, count).await;
        for flood in Flood::ALL {
            let bytes = flood.bytes(&mut Random::new(7), FRAMES);
            let mut connection = api.dial_as(b"h2").await.expect("a connection");
            let _ = timeout(ANSWER, async {
                let _ = connection.write_all(&bytes).await;
                let _ = (&mut connection).take(1 << 20).read_to_end(&mut Vec::new()).await;
            })
            .await;
            others_are_served(&api).await;
        }
        drop(held);
        wrong
    }));
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!server.log().contains("panicked"));
    wait_for("the memory comes back", MEMORY_WAIT, || {
        let now = server.resident_bytes();
        if now <= before + KEPT_BYTES { Ok(()) } else { Err(format!("{} MiB, before {}", now >> 20, before >> 20)) }
    });
}
