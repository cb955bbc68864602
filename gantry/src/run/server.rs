//! Wires the server half: certificates, store, cluster, API, controllers, scheduler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use gantry_cluster::{Cluster, OpenError, Setup, Topic, WatchFrom};
use gantry_controllers::Signatory;
use gantry_kinds::NODE;
use gantry_registry::Settings;
use gantry_runner::Parts;
use gantry_scheduler::Scheduler;
use gantry_server::{AuditConfig, Authorization, AuthorizationFlags, Config, FrontProxy, Server, Tls, Version};
use gantry_view::Object;
use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::admission::Admission;
use super::encryption::Encryption;
use super::host::Host;
use super::operations::Operations;
use super::presence::Presence;
use super::steps::{END_WAIT, Steps};
use super::storage::{Storage, patiently};
use super::{access, audit, bootstrap, in_url};
use crate::cli::{ServerFlags, StoreChoice};
use crate::failpoints::failpoint;
use crate::kubeconfig;
use crate::paths::Paths;
use crate::pki::{self, Pki};
use crate::profile;

/// Issuer of service-account tokens, upstream's default.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// How long a node takes to be Ready at the most, ordinarily.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server half.
pub struct Running {
    cluster: Arc<Cluster>,
    storage: Storage,
    server: Server,
    runner: JoinHandle<()>,
    presence: Option<JoinHandle<()>>,
    backups: JoinHandle<()>,
    rewriting: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Where the API is, as told to the user.
    url: String,
    merged: Option<PathBuf>,
    admin: PathBuf,
}

/// Starts everything of the server half, and writes the kubeconfigs.
pub async fn start(
    paths: &Paths,
    (flags, defaults): (&ServerFlags, &profile::Settings),
    host: &Host,
    steps: &Steps,
) -> Result<Running> {
    failpoint!("gantry::before_store");
    let admission = Admission::new(&flags.admission, defaults)?;
    let audit = audit::config(&flags.audit, defaults, paths)?;
    let authorization = AuthorizationFlags::from(&flags.authorization).authorization().map_err(|why| anyhow!(why))?;
    let settings = Settings {
        api_port: flags.listen.port(),
        plugins: admission.plugins,
        pod_security: admission.pod_security.clone(),
        placement: admission.placement.clone(),
        limited_resources: admission.limited_resources.clone(),
        ..Settings::default()
    };
    let storage = Storage::open(paths, &flags.store).await?;
    if let Some(key_file) = &flags.store.cluster_key_file {
        pki::agree(&*storage.store(), &paths.pki(), key_file).await?;
    }
    let pki = access::certificates(paths, flags, host, &settings)?;
    steps.done("certificates");
    let encryption = Encryption::open(&storage, paths, flags, defaults.encrypt_secrets).await?;
    let cluster = open(&encryption, settings).await?;
    steps.done(&format!("store at revision {}", cluster.view().revision()));
    bootstrap::fill(&cluster).await?;
    steps.done("first objects");
    failpoint!("gantry::after_first_objects");
    let server = listen(&pki, (flags, admission, audit, authorization), host, &cluster).await?;
    let port = server.address().port();
    let url = url(reachable(server.address().ip()), port);
    // An agent may be on another machine, where only servers of a cluster of several are expected.
    let for_node = if storage.store().shared() { self::url(host.address, port) } else { url.clone() };
    let operations = Operations::new(&cluster, (&storage, &encryption), paths, &flags.store)?;
    server.extend(operations.clone());
    let merged = access::kubeconfigs(paths, flags, host, &pki, (&url, &for_node))?;
    steps.done(&format!("API at {url}"));
    let (stop, stopped) = watch::channel(false);
    let presence = storage.store().shared().then(|| {
        let presence = Presence::new(cluster.clone(), &host.name, SocketAddr::new(host.address, port));
        tokio::spawn(presence.keep(stopped.clone()))
    });
    let node_grace_seconds = flags.node_monitor_grace_period;
    let settings = gantry_controllers::Settings { node_grace_seconds, ..controller_settings(&pki, host, port) };
    let signatory: Arc<dyn Signatory> = Arc::new(pki::Signer::new(&pki.authority)?);
    let parts = move || {
        let mut controllers = gantry_controllers::all(&settings);
        controllers.extend(gantry_controllers::signers(&settings, &signatory));
        Parts { controllers, scheduler: Scheduler::new() }
    };
    let keeper = operations.keeper();
    let backups = tokio::spawn(async move { keeper.run().await });
    let rewriting = tokio::spawn(encryption.keep(cluster.clone()));
    let runner = tokio::spawn(gantry_runner::run(cluster.clone(), parts, stopped));
    steps.done("controllers and scheduler");
    let admin = paths.admin_kubeconfig();
    Ok(Running { cluster, storage, server, runner, presence, backups, rewriting, stop, url, merged, admin })
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

    /// Prints how the cluster grows by a server or a node.
    pub fn announce_growth(&self, flags: &ServerFlags) {
        if let StoreChoice::Etcd(_) = flags.store.store {
            println!("add a server:  gantry server{}", flags.store);
            println!("               on another machine, with copies of these files");
        }
        println!("add a node:    gantry kubeconfig --node NAME > NAME.kubeconfig");
        println!("               and there: gantry agent --node-name NAME --kubeconfig NAME.kubeconfig");
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
        // One that is under way leaves nothing behind.
        self.backups.abort();
        self.rewriting.abort();
        // Both say to the other servers that this one goes.
        let farewell = async {
            let _ = self.runner.await;
            if let Some(presence) = self.presence {
                let _ = presence.await;
            }
        };
        let _ = tokio::time::timeout(END_WAIT, async { tokio::join!(farewell, self.server.shutdown()) }).await;
        failpoint!("gantry::before_close");
        self.storage.close().await;
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
    let (ready, mut feed) = server
        .cluster
        .watch_snapshot(Topic::Kind(&NODE), |view| view.get(&NODE, "", name).is_some_and(|o| is_ready(o)));
    if ready {
        return Ok(());
    }
    loop {
        let change = match feed.next().await {
            Ok(change) => change,
            Err(_) => {
                feed = server
                    .cluster
                    .watch(Topic::Kind(&NODE), WatchFrom::Now)
                    .map_err(|s| anyhow!("following the node: {s}"))?;
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

async fn open(encryption: &Encryption, settings: Settings) -> Result<Arc<Cluster>> {
    let seed = u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().context("eight bytes")?);
    let open = || Cluster::open(Arc::new(encryption.store().clone()), Setup::new(settings.clone(), seed));
    let reason = |error: &OpenError| match error {
        OpenError::Read(error) => Some(error.clone()),
        OpenError::Malformed { .. } => None,
    };
    patiently(open, reason).await.context("reading the store")
}

async fn listen(
    pki: &Pki,
    (flags, admission, audit, authorization): (&ServerFlags, Admission, Option<AuditConfig>, Authorization),
    host: &Host,
    cluster: &Arc<Cluster>,
) -> Result<Server> {
    let config = Config {
        listen: flags.listen,
        tls: Tls {
            cert_pem: pki.server.cert_pem.clone(),
            key_pem: pki.server.key_pem.clone(),
            client_ca_pem: pki.authority.cert_pem().to_owned(),
        },
        token_key_pem: pki.token_key_pem.clone(),
        front_proxy: FrontProxy {
            ca_pem: pki.front_proxy.cert_pem().to_owned(),
            cert_pem: pki.front_proxy_client.cert_pem.clone(),
            key_pem: pki.front_proxy_client.key_pem.clone(),
            names: vec![pki::FRONT_PROXY_CLIENT.to_owned()],
            client_ca_pem: pki.authority.cert_pem().to_owned(),
        },
        issuer: ISSUER.to_owned(),
        advertise: format!("{}:{}", in_url(host.address), flags.listen.port()),
        version: Version {
            git_version: format!("{}+gantry.{}", crate::KUBERNETES_VERSION, env!("CARGO_PKG_VERSION")),
            git_commit: String::new(),
            build_date: String::new(),
        },
        goaway_chance: flags.goaway_chance,
        anonymous: admission.anonymous,
        event_limits: admission.event_limits,
        audit,
        authorization,
        cluster: cluster.clone(),
    };
    Ok(Server::start(config).await?)
}

fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}:{port}", in_url(address))
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
