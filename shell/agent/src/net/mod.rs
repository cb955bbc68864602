//! Services and names on this machine: hears of the cluster, keeps the `ip gantry` table of nftables and answers DNS.
//!
//! Invariants: what packets do is decided in `gantry_net` alone; a change is one transaction; the table outlives
//! this process and is replaced as a whole, without a gap, when it starts again. Everything happens in the network
//! namespace of the process.

mod dns;
mod driver;
mod host;
mod local;
mod metrics;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use gantry_client::Event;
use gantry_net::dns::Zone;
use gantry_net::{Cidr, Params};
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use host::NetError;
pub use local::Addresses;
pub use metrics::Metrics;

use driver::{Driver, Item, Source};

/// Changes that may wait for the driver before the watches have to.
const WAITING_ITEMS: usize = 1024;
/// Where the DNS server listens.
const DNS_PORT: u16 = 53;

/// What the network of a node needs to know.
#[derive(Clone)]
pub struct NetConfig {
    /// Name of this node.
    pub node_name: String,
    /// The address that this node's own connections to services come from.
    pub node_ip: Ipv4Addr,
    /// Addresses of all pods.
    pub cluster_cidr: Cidr,
    /// Addresses of all services.
    pub service_cidr: Cidr,
    /// Address of the DNS server: one for the cluster, answered on every node.
    pub dns_ip: Ipv4Addr,
    /// Domain of cluster names, such as `cluster.local`.
    pub cluster_domain: String,
    /// Where the servers for all other names are listed.
    pub resolv_conf: PathBuf,
    /// Counters that are kept up to date.
    pub metrics: Arc<Metrics>,
}

/// Addresses of this node's pods to which the table in force sends new connections of some service. A pod that is to
/// end is told so only when it is no longer among them, so that no connection meets a server that has gone.
pub type Serving = Arc<watch::Sender<BTreeSet<Ipv4Addr>>>;

/// What the network is made from, as it is told of each.
pub struct Feeds {
    /// This node.
    pub node: mpsc::Receiver<Event>,
    /// All Services.
    pub services: mpsc::Receiver<Event>,
    /// All EndpointSlices.
    pub slices: mpsc::Receiver<Event>,
    /// This node's pods.
    pub pods: mpsc::Receiver<Event>,
}

/// What the network tells the rest of the node, and what it is told by it.
pub struct Links {
    /// Is told which pods of this node get new connections.
    pub serving: Serving,
    /// Where this node's pods are.
    pub addresses: watch::Receiver<Addresses>,
}

/// Programs services and answers names until `shutdown`; the table stays after that.
pub fn start(config: NetConfig, links: Links, feeds: Feeds, shutdown: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let items = merge(feeds, &shutdown);
        run(&config, links, items, &shutdown).await;
    })
}

async fn run(config: &NetConfig, links: Links, items: mpsc::Receiver<Item>, shutdown: &CancellationToken) {
    let params = Params {
        node_name: config.node_name.clone(),
        zone: String::new(),
        cluster_cidr: config.cluster_cidr,
        node_pod_cidr: None,
        service_cidr: config.service_cidr,
        dns_ip: config.dns_ip,
    };
    let reverse = [config.service_cidr, config.cluster_cidr];
    let zone = Arc::new(RwLock::new(Zone::new(&config.cluster_domain, config.dns_ip, &reverse)));
    let host = host::Host { node_ip: config.node_ip, service_cidr: config.service_cidr, dns_ip: config.dns_ip };
    host.prepare().await;
    let names = dns::Server::new(zone.clone(), config.dns_ip, config.resolv_conf.clone(), config.metrics.clone());
    let listening = dns::serve(names, SocketAddr::new(config.dns_ip.into(), DNS_PORT), shutdown.clone());
    let driver = Driver::new(params, zone, host, config.metrics.clone(), links.serving);
    let driver = driver.with_addresses(links.addresses);
    tokio::join!(driver.run(items, shutdown.clone()), listening);
}

/// Brings all that the network is made from into one queue.
fn merge(feeds: Feeds, shutdown: &CancellationToken) -> mpsc::Receiver<Item> {
    let (sender, receiver) = mpsc::channel(WAITING_ITEMS);
    let sources = [
        (Source::Node, feeds.node),
        (Source::Services, feeds.services),
        (Source::Slices, feeds.slices),
        (Source::Pods, feeds.pods),
    ];
    for (source, mut events) in sources {
        let (sender, shutdown) = (sender.clone(), shutdown.clone());
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = shutdown.cancelled() => return,
                    event = events.recv() => event,
                };
                let Some(event) = event else { return };
                if sender.send(Item { source, event }).await.is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Takes away what `start` put on the machine: table, DNS address, route.
pub async fn teardown(service_cidr: Cidr, dns_ip: Ipv4Addr) {
    host::Host { node_ip: Ipv4Addr::UNSPECIFIED, service_cidr, dns_ip }.remove().await;
}
