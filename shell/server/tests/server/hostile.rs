//! A client that means no good: whatever it sends, nobody panics, nobody else waits, and no answer is a 500.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gantry_fuzz::Random;
use gantry_fuzz::requests::{Flood, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::world::World;

/// Requests of the test; `GANTRY_HOSTILE` sets another number.
const REQUESTS: usize = 1500;
/// Frames of each flood.
const FRAMES: u32 = 3000;
/// Connections that are opened and left alone.
const IDLE: usize = 100;
/// How long the server may take to say what it says to one client.
const ANSWER: Duration = Duration::from_millis(400);
/// How long somebody else's request may take meanwhile, on a busy machine.
const OTHERS: Duration = Duration::from_secs(10);

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of tasks of the server from here on: nobody waits for those tasks.
fn watch_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|at| !at.file().contains("tests/server")) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(panic);
    }));
}

/// The codes of all answers in what was read that no server should give.
fn failures(request: &[u8], answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let codes = text.split("HTTP/1.1 ").skip(1).filter_map(|head| head.get(..3)?.parse().ok());
    // wire: a resourceVersion of one object that is no number is answered with 500.
    let as_upstream = |code: u16| code == 500 && String::from_utf8_lossy(request).contains("resourceVersion=");
    codes.filter(|code| *code >= 500 && !matches!(code, 501 | 503 | 504 | 507) && !as_upstream(*code)).collect()
}

/// Sends the bytes over a connection of its own, and reads what comes back for a moment.
async fn say(world: &World, identity: &(String, String), protocol: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut connection = world.connect(Some(identity.clone()), protocol).await;
    let mut answer = Vec::new();
    let conversation = async {
        let _ = connection.write_all(bytes).await;
        let _ = connection.flush().await;
        let _ = (&mut connection).take(1 << 20).read_to_end(&mut answer).await;
    };
    let _ = timeout(ANSWER, conversation).await;
    answer
}

/// Another client's request goes on.
async fn others_are_served(world: &World) {
    let admin = world.admin().await;
    let began = Instant::now();
    let answer = timeout(OTHERS, admin.ask("GET", "/api/v1/namespaces/default/configmaps", "")).await;
    assert_eq!(answer.map(|(code, _)| code), Ok(200), "after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_refused_and_nothing_else_happens() {
    watch_panics();
    let world = Arc::new(World::new().await);
    let identity = world.authority.issue("hostile", "system:masters");
    let count = std::env::var("GANTRY_HOSTILE").ok().and_then(|text| text.parse().ok()).unwrap_or(REQUESTS);
    let mut lanes = tokio::task::JoinSet::new();
    const LANES: usize = 32;
    for lane in 0..LANES {
        let (world, identity) = (world.clone(), identity.clone());
        lanes.spawn(async move {
            let mut wrong = Vec::new();
            for at in (lane..count).step_by(LANES) {
                let mut random = Random::new(at as u64);
                let bytes = request(&mut random).http1(&mut random);
                let answer = say(&world, &identity, b"http/1.1", &bytes).await;
                for code in failures(&bytes, &answer) {
                    wrong.push(format!("{at}: {code} to {}", bytes[..bytes.len().min(300)].escape_ascii()));
                }
            }
            wrong
        });
    }
    let wrong: Vec<String> = lanes.join_all().await.into_iter().flatten().collect();
    others_are_served(&world).await;
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_and_connections_that_say_nothing_hold_up_nobody() {
    watch_panics();
    let world = World::new().await;
    let identity = world.authority.issue("hostile", "system:masters");
    let mut idle = Vec::new();
    for at in 0..IDLE {
        let mut connection = world.connect(None, b"http/1.1").await;
        let half: &[u8] = match at % 3 {
            0 => b"",
            1 => b"GET /api/v1/pods HTTP/1.1\r\nHost: a\r\nX-Slow: ",
            _ => b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{",
        };
        connection.write_all(half).await.unwrap();
        idle.push(connection);
    }
    others_are_served(&world).await;
    for flood in Flood::ALL {
        let bytes = flood.bytes(&mut Random::new(7), FRAMES);
        say(&world, &identity, b"h2", &bytes).await;
        others_are_served(&world).await;
    }
    drop(idle);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.server.shutdown().await;
}
