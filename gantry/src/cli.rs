//! The command line: what there is to say, and nothing of what it does.

mod admission;
mod audit;
mod authorization;
mod backup;
mod encryption;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::profile::Profile;

pub use admission::AdmissionFlags;
pub use audit::{AuditFlags, AuditLogMode};
pub use authorization::AuthorizationFlags;
pub use backup::{Backup, Create, Doctor, List, Period, Recipients, Restore, S3Flags, SetSchedule};
pub use encryption::{EncryptionFlags, SecretsEncryption};

/// A whole container orchestrator in one binary, speaking Kubernetes.
#[derive(Parser, Debug)]
#[command(name = "gantry", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Turn this machine into a cluster: server and agent in one process, in the foreground
    Up(Up),
    /// Run the server alone: API, store, controllers, scheduler
    Server(Server),
    /// Run the node agent alone, against a server
    Agent(Agent),
    /// Print a kubeconfig for the agent of another machine
    Kubeconfig(NodeKubeconfig),
    /// Stop the cluster on this machine with its pods; leaves the data unless --wipe
    Down(Down),
    /// Handle container images on this node
    #[command(subcommand)]
    Images(Images),
    /// Make, list, restore and schedule backups of the whole cluster
    #[command(subcommand)]
    Backup(Backup),
    /// Say how Secrets are encrypted in the store, or change the key
    #[command(subcommand)]
    SecretsEncryption(SecretsEncryption),
    /// Examine cluster and machine, and say what helps
    Doctor(Doctor),
    /// Say what runs here and whether it is well
    Status(DataDir),
    /// List what runs: the pods of the cluster, or with --local what this node has, server or not
    Ps(Ps),
    /// Create or change objects from files (server-side apply)
    Apply(Apply),
    /// List objects, or show one
    Get(Get),
    /// Show an object with its events
    Describe(Describe),
    /// Print the logs of a container
    Logs(Logs),
    /// Run a command in a container
    Exec(Exec),
    /// Delete objects
    Delete(Delete),
    /// Print a completion script for a shell
    Completion {
        /// bash, zsh, fish, ...
        shell: Shell,
    },
    /// Print the version
    Version,
    /// Print the points at which a test can stop this build, one a line
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    Failpoints,
}

/// Where the cluster of this machine keeps everything.
#[derive(Args, Debug, Clone)]
pub struct DataDir {
    /// Data directory
    #[arg(long, env = "GANTRY_DATA_DIR", default_value = "/var/lib/gantry", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// Which defaults hold where nothing is said.
#[derive(Args, Debug, Clone)]
pub struct ProfileFlag {
    /// Which defaults hold where nothing else is said; see docs/profiles.md
    #[arg(long, value_enum, default_value_t, value_name = "PROFILE")]
    pub profile: Profile,
}

/// Flags of the server half.
#[derive(Args, Debug, Clone)]
pub struct ServerFlags {
    /// Address and port of the API
    #[arg(long, default_value = "0.0.0.0:6443", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// Address by which other machines reach this server; that of the default route by default
    #[arg(long, value_name = "ADDR")]
    pub advertise_address: Option<IpAddr>,
    /// Further names and addresses for the server's certificate, such as those of a load balancer
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub tls_san: Vec<String>,
    /// Do not merge a `gantry` context into the invoking user's kubeconfig
    #[arg(long)]
    pub no_merge_kubeconfig: bool,
    /// How long a node may be silent before it counts as unreachable, in seconds
    #[arg(long, default_value_t = 40, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(10..))]
    pub node_monitor_grace_period: i64,
    /// Part of the requests over HTTP/2 after which a client is asked to take another connection, up to 0.02: for
    /// several servers behind a load balancer
    #[arg(long, default_value_t = 0.0, value_name = "CHANCE", value_parser = goaway_chance)]
    pub goaway_chance: f64,
    #[command(flatten)]
    pub admission: AdmissionFlags,
    #[command(flatten)]
    pub audit: AuditFlags,
    #[command(flatten)]
    pub authorization: AuthorizationFlags,
    #[command(flatten)]
    pub encryption: EncryptionFlags,
    #[command(flatten)]
    pub store: StoreFlags,
}

/// Where the objects are kept.
#[derive(Args, Debug, Clone)]
pub struct StoreFlags {
    /// `embedded`: in the data directory. `etcd=URL,URL,...`: in an etcd that several servers share
    #[arg(long, default_value = "embedded", value_name = "STORE")]
    pub store: StoreChoice,
    /// Authority of etcd's certificates
    #[arg(long, value_name = "FILE")]
    pub store_ca_file: Option<PathBuf>,
    /// This server's certificate as a client of etcd
    #[arg(long, value_name = "FILE", requires = "store_key_file")]
    pub store_cert_file: Option<PathBuf>,
    /// Its private key
    #[arg(long, value_name = "FILE", requires = "store_cert_file")]
    pub store_key_file: Option<PathBuf>,
    /// Prefix of all keys in etcd, so that several clusters can share one
    #[arg(long, default_value = "/gantry-cluster", value_name = "PREFIX")]
    pub store_prefix: String,
    /// Key that encrypts what the servers on one etcd share: the same file on all of them; the first server makes it
    #[arg(long, value_name = "FILE")]
    pub cluster_key_file: Option<PathBuf>,
    /// Key that opens the keys of what is encrypted in the store, made at the first start; by default the cluster key,
    /// else /etc/gantry/encryption.key, for others than root $XDG_CONFIG_HOME/gantry/encryption.key
    #[arg(long, env = "GANTRY_ENCRYPTION_KEY_FILE", value_name = "FILE")]
    pub encryption_key_file: Option<PathBuf>,
}

impl fmt::Display for StoreFlags {
    /// As they stand on a command line, each after a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " --store {} --store-prefix {}", self.store, self.store_prefix)?;
        let files = [
            ("--store-ca-file", &self.store_ca_file),
            ("--store-cert-file", &self.store_cert_file),
            ("--store-key-file", &self.store_key_file),
            ("--cluster-key-file", &self.cluster_key_file),
            ("--encryption-key-file", &self.encryption_key_file),
        ];
        files
            .iter()
            .filter_map(|(flag, file)| Some((flag, file.as_ref()?)))
            .try_for_each(|(flag, file)| write!(f, " {flag} {}", file.display()))
    }
}

/// The largest chance that a connection may be given up by.
const GOAWAY_CHANCE_MAX: f64 = 0.02;

fn goaway_chance(text: &str) -> Result<f64, String> {
    let chance = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=GOAWAY_CHANCE_MAX).contains(&chance) {
        return Ok(chance);
    }
    Err(format!("must be between 0 and {GOAWAY_CHANCE_MAX}"))
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// In the data directory, for this server alone.
    Embedded,
    /// In an etcd at these URLs.
    Etcd(Vec<String>),
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "embedded" {
            return Ok(StoreChoice::Embedded);
        }
        let Some(urls) = text.strip_prefix("etcd=") else {
            return Err("expected embedded, or etcd= followed by URLs such as https://10.0.0.1:2379".to_owned());
        };
        let urls: Vec<String> = urls.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).collect();
        for url in &urls {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains('/')) {
                return Err(format!("{url:?} is not a URL such as https://10.0.0.1:2379"));
            }
        }
        Ok(StoreChoice::Etcd(urls))
    }
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreChoice::Embedded => f.write_str("embedded"),
            StoreChoice::Etcd(urls) => write!(f, "etcd={}", urls.join(",")),
        }
    }
}

/// Flags of the agent half.
#[derive(Args, Debug, Clone)]
pub struct AgentFlags {
    /// Name of this node; the host's name by default
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Use this containerd instead of starting a private one
    #[arg(long, value_name = "SOCKET")]
    pub containerd_socket: Option<PathBuf>,
    /// Registries and mirrors, in containerd's hosts.toml layout
    #[arg(long, default_value = "/etc/containerd/certs.d", value_name = "DIR")]
    pub registry_config: PathBuf,
    /// Give containers that say nothing of seccomp the runtime's profile; as the profile has it by default
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub seccomp_default: Option<bool>,
    /// How many processes and threads a pod may have, -1 for as many as the node; as the profile has it by default
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = pod_max_pids)]
    pub pod_max_pids: Option<i64>,
}

/// The limit of processes: a number of them, or what kubelets take for none.
fn pod_max_pids(text: &str) -> Result<i64, String> {
    let count = text.parse::<i64>().map_err(|error| error.to_string())?;
    if count == -1 || (1..=i64::from(u32::MAX)).contains(&count) {
        return Ok(count);
    }
    Err("must be a positive number, or -1 for no limit".to_owned())
}

/// `gantry up`
#[derive(Args, Debug)]
pub struct Up {
    #[command(flatten)]
    pub data: DataDir,
    #[command(flatten)]
    pub defaults: ProfileFlag,
    #[command(flatten)]
    pub server: ServerFlags,
    #[command(flatten)]
    pub agent: AgentFlags,
}

/// `gantry server`
#[derive(Args, Debug)]
pub struct Server {
    #[command(flatten)]
    pub data: DataDir,
    #[command(flatten)]
    pub defaults: ProfileFlag,
    #[command(flatten)]
    pub server: ServerFlags,
    /// Name of the node whose kubeconfig is written for `gantry agent`; the host's name by default
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
}

/// `gantry agent`
#[derive(Args, Debug)]
pub struct Agent {
    #[command(flatten)]
    pub data: DataDir,
    #[command(flatten)]
    pub defaults: ProfileFlag,
    #[command(flatten)]
    pub agent: AgentFlags,
    /// Kubeconfig of the node, as `gantry server` writes it; DATA_DIR/node.kubeconfig by default
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Another server of the cluster; may be repeated. All that live are learned once one of them answers
    #[arg(long = "server", value_name = "URL")]
    pub servers: Vec<String>,
}

/// `gantry ps`
#[derive(Args, Debug)]
pub struct Ps {
    #[command(flatten)]
    pub target: Target,
    /// Ask this node instead of a server: what its agent knows and its runtime runs
    #[arg(long)]
    pub local: bool,
    /// containerd's socket, where it is not the private one
    #[arg(long, value_name = "SOCKET", requires = "local")]
    pub containerd_socket: Option<PathBuf>,
}

/// `gantry kubeconfig`
#[derive(Args, Debug)]
pub struct NodeKubeconfig {
    #[command(flatten)]
    pub data: DataDir,
    /// Name of the node
    #[arg(long, value_name = "NAME")]
    pub node: String,
    /// URL of the API as the node reaches it; as in DATA_DIR/node.kubeconfig by default
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// `gantry down`
#[derive(Args, Debug)]
pub struct Down {
    #[command(flatten)]
    pub data: DataDir,
    /// Also delete the data directory: every object, image and volume of this cluster
    #[arg(long)]
    pub wipe: bool,
}

/// `gantry images`
#[derive(Subcommand, Debug)]
pub enum Images {
    /// Import images from a docker-archive or OCI archive
    Import {
        #[command(flatten)]
        data: DataDir,
        /// containerd's socket, where it is not the private one
        #[arg(long, value_name = "SOCKET")]
        containerd_socket: Option<PathBuf>,
        /// The archive
        file: PathBuf,
    },
}

/// How to reach the API, and in which namespace.
#[derive(Args, Debug, Clone)]
pub struct Target {
    #[command(flatten)]
    pub data: DataDir,
    /// Kubeconfig; $KUBECONFIG or DATA_DIR/admin.kubeconfig by default
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

/// `gantry apply`
#[derive(Args, Debug)]
pub struct Apply {
    #[command(flatten)]
    pub target: Target,
    /// Files or folders of YAML or JSON; `-` for standard input
    #[arg(long = "filename", short, required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Take over fields that others manage
    #[arg(long)]
    pub force_conflicts: bool,
    /// Decide, but keep nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `gantry get`
#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    pub target: Target,
    /// Resource, such as pods, deploy or pods/web-0
    pub resource: String,
    /// Name
    pub name: Option<String>,
    /// All namespaces
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Label selector
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// wide, json, yaml or name
    #[arg(long, short, value_name = "FORMAT")]
    pub output: Option<String>,
    /// Go on with changes
    #[arg(long, short)]
    pub watch: bool,
}

/// `gantry describe`
#[derive(Args, Debug)]
pub struct Describe {
    #[command(flatten)]
    pub target: Target,
    /// Resource, such as pods or pods/web-0
    pub resource: String,
    /// Name
    pub name: Option<String>,
}

/// `gantry logs`
#[derive(Args, Debug)]
pub struct Logs {
    #[command(flatten)]
    pub target: Target,
    /// Pod
    pub pod: String,
    /// Container, where the pod has several
    #[arg(long, short)]
    pub container: Option<String>,
    /// Go on with new lines
    #[arg(long, short)]
    pub follow: bool,
    /// Of the container's previous run
    #[arg(long, short)]
    pub previous: bool,
    /// Only so many last lines
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u64>,
}

/// `gantry exec`
#[derive(Args, Debug)]
pub struct Exec {
    #[command(flatten)]
    pub target: Target,
    /// Pod
    pub pod: String,
    /// Container, where the pod has several
    #[arg(long, short)]
    pub container: Option<String>,
    /// Pass standard input on
    #[arg(long, short = 'i')]
    pub stdin: bool,
    /// Give the command a terminal
    #[arg(long, short = 't')]
    pub tty: bool,
    /// The command, after --
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// `gantry delete`
#[derive(Args, Debug)]
pub struct Delete {
    #[command(flatten)]
    pub target: Target,
    /// Resource, such as pods or pods/web-0
    #[arg(required_unless_present = "files")]
    pub resource: Option<String>,
    /// Names
    pub names: Vec<String>,
    /// Delete what these files name
    #[arg(long = "filename", short, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Do not wait until the objects are gone
    #[arg(long)]
    pub no_wait: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn stores_are_read_strictly() {
        for good in ["embedded", "etcd=https://10.0.0.1:2379", "etcd=https://a:2379,https://b:2379"] {
            assert_eq!(good.parse::<StoreChoice>().unwrap().to_string(), good);
        }
        for bad in
            ["", "etcd", "etcd=", "etcd=10.0.0.1:2379", "etcd=https://a:2379,", "etcd=https://a:2379/x", "sqlite"]
        {
            assert!(bad.parse::<StoreChoice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn few_connections_are_given_up_by_chance() {
        assert_eq!((goaway_chance("0"), goaway_chance("0.02")), (Ok(0.0), Ok(0.02)));
        assert!(["-0.1", "0.021", "NaN", "x"].iter().all(|bad| goaway_chance(bad).is_err()));
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
