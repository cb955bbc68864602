//! Wires the server half: certificates, store, cluster, API, controllers, scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gantry_cluster::{Cluster, Setup, WatchFrom};
use gantry_kinds::NODE;
use gantry_registry::Settings;
use gantry_runner::Parts;
use gantry_scheduler::Scheduler;
use gantry_server::{Config, Server, Tls, Version};
use gantry_store::EmbeddedStore;
use gantry_view::Object;
use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::host::Host;
use super::steps::Steps;
use super::{bootstrap, in_url};
use crate::cli::ServerFlags;
use crate::failpoints::failpoint;
use crate::kubeconfig;
use crate::paths::Paths;
use crate::pki::{self, Pki};

/// Issuer of service-account tokens, upstream's default.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// How long a node takes to be Ready at the most, ordinarily.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server half.
pub struct Running {
    cluster: Arc<Cluster>,
    store: EmbeddedStore,
    server: Server,
    runner: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Where the API is, as told to the user.
    url: String,
    merged: Option<std::path::PathBuf>,
    admin: std::path::PathBuf,
}

/// Starts everything of the server half, and writes the kubeconfigs.
pub async fn start(paths: &Paths, flags: &ServerFlags, host: &Host, steps: &Steps) -> Result<Running> {
    let settings = Settings { api_port: flags.listen.port(), ..Settings::default() };
    let pki = certificates(paths, flags.listen, host, &settings)?;
    steps.done("certificates");
    failpoint!("gantry::before_store");
    let (store, cluster) = open(paths, settings).await?;
    steps.done(&format!("store at revision {}", cluster.view().revision()));
    bootstrap::fill(&cluster).await?;
    steps.done("first objects");
    failpoint!("gantry::after_first_objects");
    let server = listen(&pki, flags.listen, host, &cluster).await?;
    let url = format!("https://{}:{}", in_url(reachable(server.address().ip())), server.address().port());
    let merged = kubeconfigs(paths, flags, host, &pki, &url)?;
    steps.done(&format!("API at {url}"));
    let (stop, stopped) = watch::channel(false);
    let settings = controller_settings(&pki, host, server.address().port());
    let parts = move || Parts { controllers: gantry_controllers::all(&settings), scheduler: Scheduler::new() };
    let runner = gantry_runner::run(cluster.clone(), parts, stopped);
    let runner = tokio::spawn(runner);
    steps.done("controllers and scheduler");
    Ok(Running { cluster, store, server, runner, stop, url, merged, admin: paths.admin_kubeconfig() })
}

impl Running {
    /// Prints where the API is, and what to do next. Its first line is what scripts wait for.
    pub fn announce(&self, steps: &Steps) {
        println!("gantry is ready after {} ms: {}", steps.total().as_millis(), self.url);
        match &self.merged {
            Some(file) => println!("context {:?} is in {}; try:", kubeconfig::CONTEXT, file.display()),
            None => println!("try, with KUBECONFIG={}:", self.admin.display()),
        }
        println!("  kubectl get nodes            (or: gantry get nodes)");
        println!("  gantry images import FILE    images for pods without a registry");
        println!("  gantry apply -f FILE         kubectl apply works as well");
    }

    /// Returns when a part that must not end has ended.
    pub async fn ended(&mut self) -> Result<()> {
        tokio::select! {
            ended = &mut self.runner => {
                ended.context("the controllers")?;
                bail!("the controllers ended")
            }
            error = self.cluster.ended() => Err(error).context("following the store"),
        }
    }

    /// Ends all parts, the store last.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        self.server.shutdown().await;
        failpoint!("gantry::before_close");
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "closing the store");
        }
    }
}

/// Waits until the node of that name is Ready; says so when that takes unusually long.
pub async fn node_ready(server: &Running, name: &str) -> Result<()> {
    let ready = until_ready(server, name);
    tokio::pin!(ready);
    if let Ok(ready) = tokio::time::timeout(PATIENCE, &mut ready).await {
        return ready;
    }
    println!("  node {name} is not Ready yet; GANTRY_LOG=info says more, kubectl describe node {name} too");
    ready.await
}

async fn until_ready(server: &Running, name: &str) -> Result<()> {
    let (ready, mut feed) =
        server.cluster.watch_snapshot(|view| view.get(&NODE, "", name).is_some_and(|o| is_ready(o)));
    if ready {
        return Ok(());
    }
    loop {
        let change = match feed.next().await {
            Ok(change) => change,
            Err(_) => {
                feed = server.cluster.watch(WatchFrom::Now).map_err(|s| anyhow!("following the node: {s}"))?;
                continue;
            }
        };
        let about = *change.key.kind == NODE && &*change.key.name == name;
        if about && change.after.as_ref().is_some_and(|o| is_ready(o)) {
            return Ok(());
        }
    }
}

fn is_ready(object: &Object) -> bool {
    let node = object.typed::<Node>().ok();
    let conditions = node.and_then(|n| n.status).and_then(|s| s.conditions).unwrap_or_default();
    conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn certificates(paths: &Paths, listen: SocketAddr, host: &Host, settings: &Settings) -> Result<Pki> {
    let mut names: Vec<String> =
        ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned).into();
    names.push(format!("kubernetes.default.svc.{}", settings.cluster_domain));
    names.push(host.name.clone());
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), host.address, IpAddr::V4(settings.api_service_ip)];
    if !listen.ip().is_unspecified() {
        addresses.push(listen.ip());
    }
    addresses.dedup();
    pki::prepare(&paths.pki(), &names, &addresses)
}

async fn open(paths: &Paths, settings: Settings) -> Result<(EmbeddedStore, Arc<Cluster>)> {
    let folder = paths.store();
    let store = tokio::task::spawn_blocking(move || EmbeddedStore::open(&folder)).await?;
    let store = store.with_context(|| format!("opening the store in {}", paths.store().display()))?;
    let seed = u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().context("eight bytes")?);
    let cluster =
        Cluster::open(Arc::new(store.clone()), Setup::new(settings, seed)).await.context("reading the store")?;
    Ok((store, cluster))
}

async fn listen(pki: &Pki, listen: SocketAddr, host: &Host, cluster: &Arc<Cluster>) -> Result<Server> {
    let config = Config {
        listen,
        tls: Tls {
            cert_pem: pki.server.cert_pem.clone(),
            key_pem: pki.server.key_pem.clone(),
            client_ca_pem: pki.authority.cert_pem().to_owned(),
        },
        token_key_pem: pki.token_key_pem.clone(),
        issuer: ISSUER.to_owned(),
        advertise: format!("{}:{}", in_url(host.address), listen.port()),
        version: Version {
            git_version: format!("{}+gantry.{}", crate::KUBERNETES_VERSION, env!("CARGO_PKG_VERSION")),
            git_commit: String::new(),
            build_date: String::new(),
        },
        cluster: cluster.clone(),
    };
    Ok(Server::start(config).await?)
}

/// Writes the administrator's and the node's kubeconfig; returns the user's file when the context was merged.
fn kubeconfigs(
    paths: &Paths,
    flags: &ServerFlags,
    host: &Host,
    pki: &Pki,
    url: &str,
) -> Result<Option<std::path::PathBuf>> {
    let ca = pki.authority.cert_pem();
    let admin = kubeconfig::document(url, ca, &pki.authority.issue_client("kubernetes-admin", "system:masters")?);
    kubeconfig::write(&paths.admin_kubeconfig(), &admin)?;
    failpoint!("gantry::between_kubeconfigs");
    let node = pki.authority.issue_client(&format!("system:node:{}", host.name), "system:nodes")?;
    kubeconfig::write(&paths.node_kubeconfig(), &kubeconfig::document(url, ca, &node))?;
    if flags.no_merge_kubeconfig {
        return Ok(None);
    }
    match kubeconfig::merge_into_users(&admin) {
        Ok(file) => Ok(Some(file)),
        // The cluster is of use without it.
        Err(error) => {
            eprintln!("warning: no context was merged: {error:#}");
            Ok(None)
        }
    }
}

/// The address that clients on this machine use.
fn reachable(listen: IpAddr) -> IpAddr {
    if listen.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen }
}

fn controller_settings(pki: &Pki, host: &Host, port: u16) -> gantry_controllers::Settings {
    // Addresses in the kernel of services are IPv4; a host without one serves its own pods through loopback.
    let addresses = match host.address {
        IpAddr::V4(address) => vec![address],
        IpAddr::V6(_) => Vec::new(),
    };
    gantry_controllers::Settings::new(pki.authority.cert_pem().to_owned(), addresses, port)
}
