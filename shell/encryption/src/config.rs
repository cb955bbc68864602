//! EncryptionConfiguration, apiserver.config.k8s.io/v1: which resources are encrypted, by whom.
//!
//! Invariant: what comes out of here is whole: every name is there once, every key has a length its cipher takes.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::cipher::{Cipher, CipherKey};

/// What is done with the values of some resources.
#[derive(Clone)]
pub struct Rule {
    /// `secrets`, `deployments.apps`, `*.apps`, `*.`, `*.*`.
    pub resources: Vec<String>,
    /// The first one writes, all read.
    pub providers: Vec<Provider>,
}

/// One way in which values are stored.
#[derive(Clone)]
pub enum Provider {
    /// As they are.
    Identity,
    /// With a key under a name.
    Local {
        /// The key's name.
        name: String,
        /// The key.
        key: CipherKey,
    },
    /// With keys that a plugin encrypts.
    Kms(KmsProvider),
    /// With the cluster's own ring of keys.
    Ring,
}

/// A plugin of KMS v2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsProvider {
    /// The plugin's name, which stands in front of what is stored.
    pub name: String,
    /// Its socket.
    pub socket: String,
    /// How long one call may take.
    pub timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    resources: Vec<ResourceElement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceElement {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<ProviderElement>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ProviderElement {
    aesgcm: Option<Keys>,
    aescbc: Option<Keys>,
    secretbox: Option<Keys>,
    identity: Option<Empty>,
    kms: Option<Kms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Key {
    name: String,
    secret: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Kms {
    api_version: Option<String>,
    name: String,
    #[serde(rename = "cachesize")]
    cache_size: Option<i32>,
    endpoint: String,
    timeout: Option<String>,
}

/// How long a plugin may take where nothing is said.
const KMS_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads a configuration. Errors: everything that is wrong with it, as upstream's servers say it.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let document: Document = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if (document.kind.as_str(), document.api_version.as_str())
        != ("EncryptionConfiguration", "apiserver.config.k8s.io/v1")
    {
        return Err(format!(
            "no kind {:?} is registered for version {:?}; EncryptionConfiguration of apiserver.config.k8s.io/v1 is \
             expected",
            document.kind, document.api_version
        ));
    }
    let mut found = Found::default();
    if document.resources.is_empty() {
        found.error("resources", "Required value: at least one resources is required");
    }
    let rules = document.resources.iter().enumerate().map(|(i, element)| found.rule(element, i)).collect();
    match found.errors.as_slice() {
        [] => Ok(rules),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    errors: Vec<String>,
    kms_names: BTreeSet<String>,
}

impl Found {
    fn error(&mut self, path: &str, what: impl std::fmt::Display) {
        self.errors.push(format!("{path}: {what}"));
    }

    fn rule(&mut self, element: &ResourceElement, index: usize) -> Rule {
        let path = format!("resources[{index}].resources");
        if element.resources.is_empty() {
            self.error(&path, "Required value: at least one resource is required");
        }
        self.names(&element.resources, &path);
        let path = format!("resources[{index}].providers");
        if element.providers.is_empty() {
            self.error(&path, "Required value: at least one provider is required");
        }
        let mut providers = Vec::new();
        for (i, provider) in element.providers.iter().enumerate() {
            self.provider(provider, &format!("{path}[{i}]"), &mut providers);
        }
        Rule { resources: element.resources.clone(), providers }
    }

    fn names(&mut self, names: &[String], path: &str) {
        for (i, name) in names.iter().enumerate() {
            let at = format!("{path}[{i}]");
            let invalid = |why: &str| format!("Invalid value: {name:?}: {why}");
            let (resource, group) = name.split_once('.').map_or((name.as_str(), None), |(r, g)| (r, Some(g)));
            let why = if name.chars().any(char::is_uppercase) {
                "resource name should not contain capital letters"
            } else if name == "*" {
                "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
            } else if name == "apiserveripinfo"
                || name == "serviceipallocations"
                || name == "servicenodeportallocations"
            {
                "resources which do not have REST API/s cannot be encrypted"
            } else if group == Some("extensions") {
                "'extensions' group has been removed and cannot be used for encryption"
            } else if group == Some("events.k8s.io") {
                "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in \
                 the config file"
            } else if group == Some("*") && resource != "*" {
                "encrypting the same resource across groups is not supported"
            } else if names[..i].contains(name) {
                "the same resource cannot be specified multiple times"
            } else {
                continue;
            };
            self.error(&at, invalid(why));
        }
        let star = names.iter().any(|name| name == "*.*");
        let masked = |name: &String| {
            let group = name.split_once('.').map_or("", |(_, group)| group);
            (star && name != "*.*") || (!name.starts_with("*.") && names.contains(&format!("*.{group}")))
        };
        if names.iter().any(masked) {
            let why = "using overlapping resources such as 'secrets' and '*.' in the same resource list is not \
                       allowed as they will be masked";
            self.error(path, format!("Invalid value: {names:?}: {why}"));
        }
    }

    fn provider(&mut self, element: &ProviderElement, path: &str, to: &mut Vec<Provider>) {
        let local = [
            (Cipher::AesGcm, &element.aesgcm),
            (Cipher::AesCbc, &element.aescbc),
            (Cipher::SecretBox, &element.secretbox),
        ];
        let given = local.iter().filter(|(_, keys)| keys.is_some()).count()
            + usize::from(element.identity.is_some())
            + usize::from(element.kms.is_some());
        match given {
            0 => {
                let why = "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, \
                           Identity";
                return self.error(path, format!("Required value: {why}"));
            }
            1 => {}
            _ => {
                let why = "more than one provider specified in a single element, should split into different list \
                           elements";
                return self.error(path, format!("Invalid value: {why}"));
            }
        }
        if element.identity.is_some() {
            to.push(Provider::Identity);
        }
        for (cipher, keys) in local {
            if let Some(keys) = keys {
                self.keys(cipher, &keys.keys, &format!("{path}.{}.keys", cipher.name()), to);
            }
        }
        if let Some(kms) = &element.kms {
            self.kms(kms, &format!("{path}.kms"), to);
        }
    }

    fn keys(&mut self, cipher: Cipher, keys: &[Key], path: &str, to: &mut Vec<Provider>) {
        if keys.is_empty() {
            self.error(path, "Required value: at least one keys is required");
        }
        for (i, key) in keys.iter().enumerate() {
            let at = format!("{path}[{i}]");
            if key.name.is_empty() {
                self.error(&format!("{at}.name"), "Required value: name is a mandatory field for a key");
            }
            if key.secret.is_empty() {
                self.error(&format!("{at}.secret"), "Required value: secret is a mandatory field for a key");
                continue;
            }
            let secret = format!("{at}.secret");
            let Ok(bytes) = STANDARD.decode(&key.secret) else {
                self.error(&secret, "Invalid value: \"REDACTED\": secrets must be base64 encoded");
                continue;
            };
            let length = bytes.len();
            match CipherKey::new(cipher, bytes) {
                Some(bytes) => to.push(Provider::Local { name: key.name.clone(), key: bytes }),
                None => {
                    let lengths: Vec<String> = cipher.key_lengths().iter().map(usize::to_string).collect();
                    let lengths = lengths.join(" ");
                    let why =
                        format!("secret is not of the expected length, got {length}, expected one of [{lengths}]");
                    self.error(&secret, format!("Invalid value: \"REDACTED\": {why}"));
                }
            }
        }
    }

    fn kms(&mut self, kms: &Kms, path: &str, to: &mut Vec<Provider>) {
        let before = self.errors.len();
        if kms.name.is_empty() {
            self.error(&format!("{path}.name"), "Required value: name is a mandatory field for a provider");
        }
        if kms.name.contains(':') {
            let why = format!("invalid KMS provider name {}, must not contain ':'", kms.name);
            self.error(&format!("{path}.name"), format!("Invalid value: {:?}: {why}", kms.name));
        }
        if !self.kms_names.insert(kms.name.clone()) {
            let why = format!("duplicate KMS provider name {}, names must be unique", kms.name);
            self.error(&format!("{path}.name"), format!("Invalid value: {:?}: {why}", kms.name));
        }
        let timeout = kms.timeout.as_deref().map_or(Some(KMS_TIMEOUT), duration).filter(|time| !time.is_zero());
        if timeout.is_none() {
            let given = kms.timeout.as_deref().unwrap_or_default();
            let why = "timeout should be a positive value";
            self.error(&format!("{path}.timeout"), format!("Invalid value: {given:?}: {why}"));
        }
        let socket = kms.endpoint.strip_prefix("unix://");
        match (kms.endpoint.as_str(), socket) {
            ("", _) => {
                self.error(&format!("{path}.endpoint"), "Required value: endpoint is a mandatory field for a provider");
            }
            (endpoint, None) => {
                let scheme = endpoint.split_once("://").map_or("", |(scheme, _)| scheme);
                let why = format!("unsupported scheme {scheme:?} for KMS provider, only unix is supported");
                self.error(&format!("{path}.endpoint"), format!("Invalid value: {endpoint:?}: {why}"));
            }
            _ => {}
        }
        self.kms_version(kms, path);
        if let (Some(socket), Some(timeout), true) = (socket, timeout, self.errors.len() == before) {
            to.push(Provider::Kms(KmsProvider { name: kms.name.clone(), socket: socket.to_owned(), timeout }));
        }
    }

    fn kms_version(&mut self, kms: &Kms, path: &str) {
        // wire: without a version upstream takes v1, which it refuses unless a feature gate is on.
        match kms.api_version.as_deref().unwrap_or("v1") {
            "v2" => {
                if let Some(size) = kms.cache_size {
                    let why = "cachesize is not supported in v2";
                    self.error(&format!("{path}.cachesize"), format!("Invalid value: {size}: {why}"));
                }
            }
            "v1" => self.error(
                &format!("{path}.apiVersion"),
                "Invalid value: \"v1\": KMSv1 is deprecated and is not supported, use KMSv2 (apiVersion: v2) instead",
            ),
            other => {
                let why = format!("unsupported apiVersion {other} for KMS provider, only v2 is supported");
                self.error(&format!("{path}.apiVersion"), format!("Invalid value: {other:?}: {why}"));
            }
        }
    }
}

/// A duration such as `3s`, `1m30s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let seconds = match &rest[digits..unit] {
            "ms" => number / 1e3,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            _ => return None,
        };
        sum += Duration::try_from_secs_f64(seconds).ok()?;
        rest = &rest[unit..];
    }
    Some(sum)
}
