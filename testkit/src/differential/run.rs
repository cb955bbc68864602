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
}

impl Last {
    fn learn(&mut self, reply: &Reply) {
        let metadata = &reply.json()["metadata"];
        if let (Some(version), Some(uid)) = (metadata["resourceVersion"].as_str(), metadata["uid"].as_str()) {
            version.clone_into(&mut self.resource_version);
            uid.clone_into(&mut self.uid);
        }
    }
}

/// Sends all requests of a case to both; the pairs whose answers differ.
pub fn run(case: &Case, ours: &mut Endpoint, upstream: &mut Endpoint) -> Result<Vec<Pair>, String> {
    let (mut our_last, mut upstream_last) = (Last::default(), Last::default());
    let mut pairs = Vec::new();
    for request in &case.requests {
        let our_reply = ask(ours, request, &mut our_last)?;
        let upstream_reply = ask(upstream, request, &mut upstream_last)?;
        let differences = Difference::all(&normalised(&our_reply), &normalised(&upstream_reply));
        if !differences.is_empty() {
            pairs.push(Pair { case: case.number, request: request.clone(), differences });
        }
    }
    Ok(pairs)
}

fn ask(server: &mut Endpoint, request: &Request, last: &mut Last) -> Result<Reply, String> {
    let reply = server.ask(&request.filled(&last.resource_version, &last.uid))?;
    last.learn(&reply);
    Ok(reply)
}
