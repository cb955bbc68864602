//! Flags that say who is asked who may do what.

use std::path::PathBuf;

use clap::Args;

/// Who is asked who may do what.
#[derive(Args, Debug, Clone)]
pub struct AuthorizationFlags {
    /// File with an AuthorizationConfiguration; read again when it changes. See docs/authorization.md
    #[arg(long, value_name = "FILE")]
    pub authorization_config: Option<PathBuf>,
    /// Authorizers in their order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny; Node,RBAC by default
    #[arg(long, value_delimiter = ',', value_name = "MODES")]
    pub authorization_mode: Option<Vec<String>>,
    /// Kubeconfig file of the authorizer outside, for the mode Webhook
    #[arg(long, value_name = "FILE")]
    pub authorization_webhook_config_file: Option<PathBuf>,
    /// Version of the SubjectAccessReview that it is sent: v1 or v1beta1
    #[arg(long, value_name = "VERSION")]
    pub authorization_webhook_version: Option<String>,
    /// How long its yes is kept
    #[arg(long, value_name = "DURATION")]
    pub authorization_webhook_cache_authorized_ttl: Option<String>,
    /// How long its no is kept
    #[arg(long, value_name = "DURATION")]
    pub authorization_webhook_cache_unauthorized_ttl: Option<String>,
}

impl From<&AuthorizationFlags> for gantry_server::AuthorizationFlags {
    fn from(flags: &AuthorizationFlags) -> Self {
        let flags = flags.clone();
        gantry_server::AuthorizationFlags {
            config: flags.authorization_config,
            modes: flags.authorization_mode,
            webhook_config_file: flags.authorization_webhook_config_file,
            webhook_version: flags.authorization_webhook_version,
            allowed_for: flags.authorization_webhook_cache_authorized_ttl,
            denied_for: flags.authorization_webhook_cache_unauthorized_ttl,
        }
    }
}
