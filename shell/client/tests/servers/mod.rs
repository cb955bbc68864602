//! A client of several servers on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::server::{self, Body, Server, lines};
use gantry_client::{Client, ClientError, Endpoint, Event, PatchKind, Source};
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};

const NOBODY: &str = "https://127.0.0.1:1";

/// A server that says which one it is.
async fn named(name: &'static str) -> Server {
    Server::start(move |_| async move { server::json(200, json!({"server": name})) }).await
}

/// A client of these servers; all of them are trusted.
fn client_of(name: &str, servers: &[&Server], more: &[&str]) -> Client {
    let authorities: Vec<_> = servers.iter().map(|server| server.authority.clone()).collect();
    let authority = Source::Inline(authorities.concat().into());
    let endpoint = Endpoint { authority, ..servers[0].endpoint() };
    let given = servers.iter().map(|server| server.address.clone());
    let given = given.chain(more.iter().map(|url| (*url).to_owned())).collect();
    Client::of_servers(name, endpoint, given).unwrap()
}

async fn answering(client: &Client) -> String {
    client.get("/").await.unwrap()["server"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn clients_stay_with_one_server_and_leave_it_when_it_cannot_be_reached() {
    let (a, b) = (named("a").await, named("b").await);
    let served = || [&a, &b].map(|server| server.connections.load(Ordering::SeqCst));
    // Which of the two a client prefers is as good as drawn: few clients may all prefer the same.
    let mut n = 0;
    while n < 8 || (served().contains(&0) && n < 64) {
        // Whichever is preferred: the first of the list may be the one where nobody is.
        let client = client_of(&format!("node-{n}"), &[&a, &b], &[NOBODY]);
        let first = answering(&client).await;
        for _ in 0..5 {
            assert_eq!(answering(&client).await, first);
        }
        assert_ne!(client.server(), NOBODY);
        n += 1;
    }
    let served = served();
    assert!(served.iter().all(|count| *count > 0), "both are used: {served:?}");
}

#[tokio::test]
async fn learned_servers_take_over_and_given_ones_stay() {
    let (a, b) = (named("a").await, named("b").await);
    let authority = Source::Inline([a.authority.clone(), b.authority.clone()].concat().into());
    let endpoint = Endpoint { authority, ..a.endpoint() };
    let client = Client::of_servers("n", endpoint, vec![NOBODY.to_owned()]).unwrap();
    let mut list = client.servers();
    assert!(matches!(client.get("/").await, Err(ClientError::Connect { .. })));
    client.learn_servers(&[b.address.clone(), "nonsense".to_owned()]);
    assert!(list.has_changed().unwrap());
    let mut known = list.borrow_and_update().clone();
    known.sort();
    let mut expected = vec![NOBODY.to_owned(), b.address.clone()];
    expected.sort();
    assert_eq!(known, expected);
    assert_eq!(answering(&client).await, "b");
    assert_eq!(answering(&client.at(&b.address).unwrap()).await, "b");
    assert!(client.at(&a.address).is_none());
    client.learn_servers(std::slice::from_ref(&a.address));
    assert_eq!(answering(&client).await, "a", "what lives no more is left");
}

/// A server that refuses so many times before it answers.
async fn refusing(code: u16, after: Option<&'static str>, times: usize) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let server = Server::start(move |_: Request<Incoming>| {
        let turn = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            if turn >= times {
                return server::json(200, json!({"server": "late"}));
            }
            let mut refusal = server::json(code, json!({"kind": "Status", "code": code, "message": "later"}));
            if let Some(after) = after {
                refusal.headers_mut().insert("retry-after", HeaderValue::from_static(after));
            }
            refusal
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn what_the_server_puts_off_is_sent_again_when_it_says() {
    for code in [429, 503] {
        let (server, asked) = refusing(code, Some("1"), 1).await;
        let begun = Instant::now();
        let answer = server.client().create("/c", &json!({})).await.unwrap();
        assert_eq!(answer["server"], "late");
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(4));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
    // Not for ever, and not without being asked to.
    let (server, asked) = refusing(429, Some("0"), 100).await;
    assert_eq!(server.client().create("/c", &json!({})).await.unwrap_err().code(), 429);
    assert_eq!(asked.load(Ordering::SeqCst), gantry_client::limits::ATTEMPTS);
    let (server, asked) = refusing(503, None, 100).await;
    assert_eq!(server.client().create("/c", &json!({})).await.unwrap_err().code(), 503);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_is_not_available_is_left_for_another() {
    let (down, _) = refusing(503, Some("30"), 1000).await;
    let up = named("up").await;
    for n in 0..6 {
        let client = client_of(&format!("n{n}"), &[&down, &up], &[]);
        let begun = Instant::now();
        assert_eq!(client.create("/c", &json!({})).await.unwrap()["server"], "up");
        assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for the one that is down");
        assert_eq!(client.server(), up.address);
    }
}

/// A server that breaks off the first requests of a path without an answer.
async fn breaking(times: usize) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = asked.clone();
    let server = Server::start(move |_: Request<Incoming>| {
        let turn = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(turn >= times, "the connection breaks here");
            server::json(200, json!({"server": "whole"}))
        }
    })
    .await;
    (server, asked)
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let (server, asked) = breaking(1).await;
    let error = server.client().patch("/p", PatchKind::Merge, &json!({})).await.unwrap_err();
    assert!(matches!(error, ClientError::Interrupted { .. }), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let (server, asked) = breaking(1).await;
    assert_eq!(server.client().get("/g").await.unwrap()["server"], "whole", "reading twice is reading once");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn watches_resume_on_another_server_from_where_they_were() {
    let asked: Arc<Mutex<Vec<(&str, String)>>> = Arc::default();
    let start = |name: &'static str| {
        let asked = asked.clone();
        Server::start(move |request: Request<Incoming>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let number = {
                let mut asked = asked.lock().unwrap();
                asked.push((name, query.clone()));
                asked.len()
            };
            async move {
                if !query.contains("watch=true") {
                    let list = json!({"kind": "PodList", "apiVersion": "v1",
                                      "metadata": {"resourceVersion": "5"}, "items": []});
                    return server::json(200, list);
                }
                let object = json!({"metadata": {"name": name, "resourceVersion": (10 + number).to_string()}});
                lines(vec![json!({"type": "ADDED", "object": object})], false)
            }
        })
    };
    let (a, b) = (start("a").await, start("b").await);
    let client = client_of("node", &[&a, &b], &[]);
    let mut watch = client.watch("/pods", "");
    assert_eq!(watch.next().await, Event::Restarted(vec![]));
    let Event::Applied(first) = watch.next().await else { panic!("an object") };
    let (first_server, revision) = (first["metadata"]["name"].clone(), first["metadata"]["resourceVersion"].clone());
    let dying = if first_server == "a" { a } else { b };
    dying.stop();
    let next = tokio::time::timeout(Duration::from_secs(20), watch.next()).await.expect("an event");
    let Event::Applied(second) = next else { panic!("no new list: {next:?}") };
    assert_ne!(second["metadata"]["name"], first_server);
    let asked = asked.lock().unwrap().clone();
    let from = format!("resourceVersion={}", revision.as_str().unwrap());
    assert!(asked.last().unwrap().1.ends_with(&from), "{asked:?}");
}

/// A mirror of nothing whose clock is an hour behind: this machine is ahead of it.
async fn an_hour_ago(_: Request<Incoming>) -> Response<Body> {
    let mut answer = server::json(200, Value::Null);
    let then = jiff::Timestamp::now() - Duration::from_secs(3660);
    let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    answer.headers_mut().insert("date", HeaderValue::from_str(&date).unwrap());
    answer
}

#[tokio::test]
async fn f6_a_clock_that_is_off_is_told() {
    let server = Server::start(an_hour_ago).await;
    let client = server.client();
    assert_eq!(client.clock_skew(), None);
    client.get("/").await.unwrap();
    let skew = client.clock_skew().unwrap();
    assert!(skew.matters());
    assert_eq!(skew.to_string(), "this machine's clock is 61 min ahead of the server's");
    let sound = named("sound").await.client();
    sound.get("/").await.unwrap();
    assert!(!sound.clock_skew().unwrap().matters());
}

#[tokio::test]
async fn f6_a_certificate_that_does_not_hold_yet_is_explained() {
    // The server's clock is right and ours is behind, as far as both can tell: its certificate is of our future.
    let in_an_hour = async |_: Request<Incoming>| {
        let mut answer = server::json(200, Value::Null);
        let then = jiff::Timestamp::now() + Duration::from_secs(3660);
        let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        answer.headers_mut().insert("date", HeaderValue::from_str(&date).unwrap());
        answer
    };
    let server = Server::start_at(Duration::from_secs(3600), in_an_hour).await;
    let error = server.client().get("/").await.unwrap_err();
    assert!(error.to_string().contains("this machine's clock is 61 min behind the server's"), "{error}");
}
