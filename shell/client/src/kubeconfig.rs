//! The file in which users keep their clusters.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::credentials::wrong;
use crate::{ClientError, Endpoint, Identity, Source};

/// A kubeconfig file.
pub struct Kubeconfig {
    directory: PathBuf,
    config: Config,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Config {
    current_context: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    insecure_skip_tls_verify: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

impl Kubeconfig {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ClientError> {
        let what = || format!("kubeconfig {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&what(), error))?;
        let directory = path.parent().unwrap_or(Path::new(".")).to_owned();
        Self::parse(&text, directory).map_err(|error| wrong(&what(), error))
    }

    fn parse(text: &str, directory: PathBuf) -> Result<Self, String> {
        let config = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        Ok(Kubeconfig { directory, config })
    }

    /// The namespace that a context (the current one if `None`) prefers.
    pub fn namespace(&self, context: Option<&str>) -> Result<String, ClientError> {
        Ok(self.context(context)?.namespace.clone().unwrap_or_else(|| "default".to_owned()))
    }

    /// Where a context (the current one if `None`) leads, and as whom.
    pub fn endpoint(&self, context: Option<&str>) -> Result<Endpoint, ClientError> {
        let context = self.context(context)?;
        let cluster = self.config.clusters.iter().find(|cluster| cluster.name == context.cluster);
        let cluster = &cluster.ok_or_else(|| missing("cluster", &context.cluster))?.cluster;
        if cluster.insecure_skip_tls_verify {
            return Err(wrong("insecure-skip-tls-verify", "not supported: name the certificate authority"));
        }
        let authority =
            self.source("certificate-authority", &cluster.certificate_authority_data, &cluster.certificate_authority)?;
        Ok(Endpoint {
            server: cluster.server.clone(),
            authority: authority.ok_or_else(|| wrong("certificate-authority", "missing"))?,
            server_name: cluster.tls_server_name.clone(),
            identity: self.identity(&context.user)?,
            user_agent: format!("gantry/{}", env!("CARGO_PKG_VERSION")),
        })
    }

    fn context(&self, name: Option<&str>) -> Result<&Context, ClientError> {
        let name = name.unwrap_or(&self.config.current_context);
        let context = self.config.contexts.iter().find(|context| context.name == name);
        context.map(|context| &context.context).ok_or_else(|| missing("context", name))
    }

    fn identity(&self, name: &str) -> Result<Identity, ClientError> {
        let user = self.config.users.iter().find(|user| user.name == name);
        let user = match user {
            Some(user) => &user.user,
            None if name.is_empty() => return Ok(Identity::Anonymous),
            None => return Err(missing("user", name)),
        };
        let certificate = self.source("client-certificate", &user.client_certificate_data, &user.client_certificate)?;
        let key = self.source("client-key", &user.client_key_data, &user.client_key)?;
        match (certificate, key, &user.token_file, &user.token) {
            (Some(certificate), Some(key), ..) => Ok(Identity::Certificate { certificate, key }),
            (Some(_), None, ..) => Err(wrong("client-key", "missing")),
            (_, _, Some(file), _) => Ok(Identity::Token(Source::File(self.directory.join(file)))),
            (.., Some(token)) => Ok(Identity::Token(Source::Inline(Bytes::from(token.clone())))),
            _ => Ok(Identity::Anonymous),
        }
    }

    /// Data in the file itself, or a file beside it.
    fn source(&self, what: &str, data: &Option<String>, file: &Option<PathBuf>) -> Result<Option<Source>, ClientError> {
        match (data, file) {
            (Some(data), _) => {
                let bytes = STANDARD.decode(data.trim()).map_err(|error| wrong(&format!("{what}-data"), error))?;
                Ok(Some(Source::Inline(bytes.into())))
            }
            (None, Some(file)) => Ok(Some(Source::File(self.directory.join(file)))),
            (None, None) => Ok(None),
        }
    }
}

fn missing(kind: &str, name: &str) -> ClientError {
    wrong("kubeconfig", format!("no {kind} {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: work
preferences: {}
clusters:
- name: one
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Y2E=, tls-server-name: kubernetes}
- name: loose
  cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}
users:
- name: admin
  user: {client-certificate: pki/admin.crt, client-key-data: a2V5}
- name: robot
  user: {token: secret}
contexts:
- name: work
  context: {cluster: one, user: admin, namespace: team}
- name: robot
  context: {cluster: one, user: robot}
- name: loose
  context: {cluster: loose, user: robot}
- name: lost
  context: {cluster: gone, user: robot}
"#;

    fn config() -> Kubeconfig {
        Kubeconfig::parse(CONFIG, "/home/me/.kube".into()).unwrap()
    }

    #[test]
    fn contexts_lead_to_endpoints() {
        let endpoint = config().endpoint(None).unwrap();
        assert_eq!(endpoint.server, "https://127.0.0.1:6443");
        assert_eq!(endpoint.authority, Source::Inline("ca".into()));
        assert_eq!(endpoint.server_name.as_deref(), Some("kubernetes"));
        let certificate = Source::File("/home/me/.kube/pki/admin.crt".into());
        assert_eq!(endpoint.identity, Identity::Certificate { certificate, key: Source::Inline("key".into()) });
        let robot = config().endpoint(Some("robot")).unwrap().identity;
        assert_eq!(robot, Identity::Token(Source::Inline("secret".into())));
        assert_eq!(config().namespace(None).unwrap(), "team");
        assert_eq!(config().namespace(Some("robot")).unwrap(), "default");
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |context, expected| assert_eq!(config().endpoint(Some(context)).unwrap_err().to_string(), expected);
        check("lost", "kubeconfig: no cluster \"gone\"");
        check("other", "kubeconfig: no context \"other\"");
        check("loose", "insecure-skip-tls-verify: not supported: name the certificate authority");
    }
}
