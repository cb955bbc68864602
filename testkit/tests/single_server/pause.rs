//! The process is stopped where it is, and goes on later.

use std::time::Duration;

use gantry_testkit::Alone;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::auditor::{audit, pods_stay};
use super::objects::{GRACE, GRACE_ARGUMENT, create, deploy, node, revision, seconds};

#[test]
fn f7_a_paused_server_evicts_nobody_when_it_goes_on() {
    let pause = seconds("GANTRY_PAUSE_SECONDS", GRACE.as_secs() + 5);
    let mut server = Alone::new().arguments(GRACE_ARGUMENT);
    let api = server.start("");
    Runtime::new().expect("a runtime").block_on(async {
        let node = node(&server);
        let mut client = api.client();
        deploy(&mut client, 5).await;
        let (complaints, pods) = audit(&server, "/api/v1/namespaces/default/pods", pods_stay);
        let before = revision(&create(&mut client, "before", 10).await);
        server.signal(Signal::SIGSTOP);
        sleep(pause).await;
        server.signal(Signal::SIGCONT);
        let after = revision(&create(&mut client, "after", 10).await);
        assert!(after > before, "{after} after {before}");
        // Pods go a second after their node counts as lost: time enough for that.
        sleep(GRACE + Duration::from_secs(5)).await;
        complaints.must_be_none();
        [node, pods].iter().for_each(tokio::task::JoinHandle::abort);
    });
}
