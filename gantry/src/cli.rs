//! The command line: what there is to say, and nothing of what it does.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

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
    /// Stop the cluster on this machine with its pods; leaves the data unless --wipe
    Down(Down),
    /// Handle container images on this node
    #[command(subcommand)]
    Images(Images),
    /// Say what runs here and whether it is well
    Status(DataDir),
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

/// Flags of the server half.
#[derive(Args, Debug, Clone)]
pub struct ServerFlags {
    /// Address and port of the API
    #[arg(long, default_value = "0.0.0.0:6443", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// Do not merge a `gantry` context into the invoking user's kubeconfig
    #[arg(long)]
    pub no_merge_kubeconfig: bool,
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
}

/// `gantry up`
#[derive(Args, Debug)]
pub struct Up {
    #[command(flatten)]
    pub data: DataDir,
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
    pub agent: AgentFlags,
    /// Kubeconfig of the node, as `gantry server` writes it; DATA_DIR/node.kubeconfig by default
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
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

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
