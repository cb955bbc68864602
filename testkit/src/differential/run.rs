//! Drives both servers through a case.

use super::{Case, Difference, Endpoint, Reply, Request, normalised};

/// One request with both answers.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The case that it belongs to.
    pub case: u64,
    /// What was asked.
    pub request: Request,
    /// What the answers differ in.
    pub differences: Vec<Difference>,
}

/// What a server said last of the object.
#[derive(Default)]
struct Last {
    resource_version: String,
    uid: String,
    next: String,
}

impl Last {
    fn learn(&mut self, reply: &Reply) {
        let metadata = &reply.json()["metadata"];
        if let (Some(version), Some(uid)) = (metadata["resourceVersion"].as_str(), metadata["uid"].as_str()) {
            version.clone_into(&mut self.resource_version);
            uid.clone_into(&mut self.uid);
        }
        metadata["continue"].as_str().unwrap_or_default().clone_into(&mut self.next);
    }
}

/// Sends all requests of a case to both, at the same time; the pairs whose answers differ.
pub fn run(case: &Case, ours: &mut Endpoint, upstream: &mut Endpoint) -> Result<Vec<Pair>, String> {
    let (our_replies, upstream_replies) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| ask_all(case, ours));
        let upstream = ask_all(case, upstream);
        (ours.join().unwrap_or_else(|_| Err("a panic".to_owned())), upstream)
    });
    let mut pairs = Vec::new();
    for ((request, our_reply), upstream_reply) in case.requests.iter().zip(our_replies?).zip(upstream_replies?) {
        let read = |reply: &Reply| normalised(reply, case.driven && !request.makes());
        let differences = Difference::all(&read(&our_reply), &read(&upstream_reply));
        if !differences.is_empty() {
            pairs.push(Pair { case: case.number, request: request.clone(), differences });
        }
    }
    Ok(pairs)
}

fn ask_all(case: &Case, server: &mut Endpoint) -> Result<Vec<Reply>, String> {
    let mut last = Last::default();
    let mut replies = Vec::new();
    for request in &case.requests {
        let reply = server.ask(&request.filled(&last.resource_version, &last.uid, &last.next))?;
        last.learn(&reply);
        replies.push(reply);
    }
    // A server may close a connection after an answer without saying so; what is left behind would be met again.
    server.leave();
    for request in &case.cleanup {
        server.ask(request)?;
    }
    Ok(replies)
}
