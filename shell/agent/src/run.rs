//! An agent from start to end.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_client::Event;
use gantry_cri::Runtime;
use gantry_net::Cidr;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cgroups::Cgroups;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, Step};
use crate::contact::Contact;
use crate::error::AgentError;
use crate::events::Events;
use crate::feed::{Kept, Wanted, share};
use crate::limits::{EVENTS, PULLS, STARTS};
use crate::net::{self, NetConfig};
use crate::node::{self, Keeper, Machine};
use crate::paths::Paths;
use crate::pods::{Pods, Shared};
use crate::runtime::Watched;
use crate::sources::Sources;
use crate::{containerd, images, local, logs, servers, tunnel, volumes};

/// Runs a node until `shutdown`. What runs then goes on: containers, containerd, the network.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), AgentError> {
    volumes::clear_umask();
    let paths = Paths::new(&config.data_dir);
    for folder in [paths.root().to_owned(), paths.pods(), paths.logs()] {
        std::fs::create_dir_all(&folder).map_err(AgentError::at("create", &folder))?;
    }
    let checkpoint = Checkpoint::open(paths.known())?;
    servers::remember(&config.client, &paths);
    let machine = Machine::look(config.node_ip, paths.root());
    let suspect = Arc::new(Notify::new());
    let start = async {
        let registered = async {
            let node = node::begin(&config, &machine, &checkpoint).await;
            (config.progress)(Step::Registered);
            Ok::<_, AgentError>(node)
        };
        tokio::try_join!(registered, start_runtime(&config, &paths, &suspect, &shutdown))
    };
    let (node, runtime) = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        started = start => started?,
    };
    let mut parts = JoinSet::new();
    let feeds = Feeds::start(&config, &checkpoint, &shutdown);
    let (serving, served) = watch::channel(BTreeSet::new());
    let (addresses, at) = watch::channel(net::Addresses::new());
    let links = net::Links { serving: Arc::new(serving), addresses: at };
    let network = network(&config, &machine, links, feeds.network, &shutdown)?;
    let events = Events::start(config.client.clone(), config.node_name.clone());
    let (network_ready, network_is_ready) = watch::channel(false);
    let (_facts, facts) = watch::channel(node::facts(&config, &machine, &paths));
    let watched = Watched::new(runtime.clone(), suspect);
    let contact = Arc::new(Contact::load(&paths));
    let pods = Pods::new(Arc::new(Shared {
        client: config.client.clone(),
        runtime: watched.clone(),
        paths: paths.clone(),
        cgroups: Cgroups::find(),
        sources: Sources::start(config.client.clone(), checkpoint, paths.clone(), feeds.services),
        events: events.clone(),
        contact: contact.clone(),
        node: facts,
        starts: Semaphore::new(STARTS),
        pulls: Semaphore::new(PULLS),
        network_ready: network_is_ready,
        served,
        addresses,
    }));
    let (sender, happened) = mpsc::channel(EVENTS);
    let (name, look, told) = (config.node_name.clone(), Arc::new(Notify::new()), feeds.node);
    parts.spawn(watched.listen(sender));
    parts.spawn(logs::rotate(pods.clone(), shutdown.clone()));
    parts.spawn(servers::follow(config.client.clone(), feeds.servers, paths.clone()));
    parts.spawn(tunnel::keep_all(config.client.clone(), name, pods.clone(), shutdown.clone()));
    let keeper = Keeper { config, machine, runtime, paths, events, network_ready, look, told, contact };
    parts.spawn(keeper.run(node, shutdown.clone()));
    pods.run(feeds.pods, happened, shutdown).await;
    network.abort();
    parts.shutdown().await;
    Ok(())
}

/// What each part is told of, out of the collections that the node follows.
struct Feeds {
    node: mpsc::Receiver<Event>,
    pods: mpsc::Receiver<Event>,
    services: mpsc::Receiver<Event>,
    servers: mpsc::Receiver<Event>,
    network: net::Feeds,
}

impl Feeds {
    fn start(config: &Config, checkpoint: &Checkpoint, shutdown: &CancellationToken) -> Self {
        let kept = |path: &str, query: &str, name: &str| Kept::start(&config.client, path, query, checkpoint, name);
        let the_node = format!("fieldSelector=metadata.name={}", config.node_name);
        let of_node = format!("fieldSelector=spec.nodeName={}", config.node_name);
        let nodes = kept("/api/v1/nodes", &the_node, node::COLLECTION);
        let pods = kept("/api/v1/pods", &of_node, local::PODS);
        let services = kept("/api/v1/services", "", "services");
        let slices = kept("/apis/discovery.k8s.io/v1/endpointslices", "", "endpointslices");
        let of_servers: Wanted = Arc::new(servers::is_of_servers);
        let [node, net_node] = share(nodes, [None, None], shutdown.clone());
        let [pods, net_pods] = share(pods, [None, None], shutdown.clone());
        let [services, net_services] = share(services, [None, None], shutdown.clone());
        let [servers, net_slices] = share(slices, [Some(of_servers), None], shutdown.clone());
        let network = net::Feeds { node: net_node, services: net_services, slices: net_slices, pods: net_pods };
        Feeds { node, pods, services, servers, network }
    }
}

/// Has a runtime that answers and knows the pods' first image.
async fn start_runtime(
    config: &Config,
    paths: &Paths,
    suspect: &Arc<Notify>,
    shutdown: &CancellationToken,
) -> Result<Runtime, AgentError> {
    let socket = config.containerd_socket.clone().unwrap_or_else(|| paths.socket());
    if config.containerd_socket.is_none() {
        containerd::ensure(paths, &config.registry_config_dir).await?;
        let (paths, registries) = (paths.clone(), config.registry_config_dir.clone());
        containerd::supervise(paths, registries, suspect.clone(), shutdown.clone());
    }
    let runtime = Runtime::new(&socket);
    if config.containerd_socket.is_none() {
        let (image, name) = (containerd::PAUSE_IMAGE, "pause");
        images::ensure_image(&runtime, &socket, paths, image, name, &["/pause"], &config.pause).await?;
    } else {
        runtime.version().await?;
    }
    (config.progress)(Step::Containerd);
    Ok(runtime)
}

/// Starts services and names.
fn network(
    config: &Config,
    machine: &Machine,
    links: net::Links,
    feeds: net::Feeds,
    shutdown: &CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, AgentError> {
    let cidr = |what: &str, text: &str| {
        let cause = format!("{text:?} is no range of IPv4 addresses");
        Cidr::parse(text).ok_or_else(|| AgentError::Configuration { what: what.to_owned(), cause })
    };
    let std::net::IpAddr::V4(node_ip) = machine.ip else {
        let cause = "services need an IPv4 address of the node".to_owned();
        return Err(AgentError::Configuration { what: format!("the node's address {}", machine.ip), cause });
    };
    let network = NetConfig {
        node_name: config.node_name.clone(),
        node_ip,
        cluster_cidr: cidr("the range of pods", &config.cluster_cidr)?,
        service_cidr: cidr("the range of services", &config.service_cidr)?,
        dns_ip: config.cluster_dns,
        cluster_domain: config.cluster_domain.clone(),
        resolv_conf: "/etc/resolv.conf".into(),
        metrics: Arc::default(),
    };
    Ok(net::start(network, links, feeds, shutdown.clone()))
}
