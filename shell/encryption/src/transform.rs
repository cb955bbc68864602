//! What one value looks like in the store: `k8s:enc:CIPHER:v1:KEY:` and what the cipher wrote, as upstream's servers
//! have it. What is bound to a value is its key in the store.
//!
//! Invariant: a value that nobody names is stored as it is, and costs one look at its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::cipher::CipherKey;
use crate::config::{Provider, Rule};
use crate::kms::Kms;
use crate::ring::Ring;

/// In front of everything that is encrypted; no JSON begins so.
const ENCRYPTED: &[u8] = b"k8s:enc:";
/// Where objects are.
const OBJECTS: &str = "/registry/";

/// Who encrypts what, at one moment.
#[derive(Clone, Default)]
pub(crate) struct Transform {
    /// The rules in force; the first that names a resource counts.
    pub(crate) rules: Arc<Vec<Rule>>,
    /// The plugins, by name.
    pub(crate) plugins: BTreeMap<String, Arc<Kms>>,
    /// The ring with its revision.
    pub(crate) ring: Option<(u64, Ring)>,
    /// Every key that was ever on the ring, as far as this process has seen: old readings may still need it.
    pub(crate) known: Arc<BTreeMap<String, CipherKey>>,
}

/// What is to be stored, and whether the ring was used.
pub(crate) struct Stored {
    pub(crate) value: Bytes,
    pub(crate) by_ring: bool,
}

impl Transform {
    /// The rule for a key of the store.
    fn rule(&self, key: &[u8]) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let (group, plural) = resource(key)?;
        self.rules.iter().find(|rule| rule.resources.iter().any(|name| names(name, group, plural)))
    }

    /// The providers for a key; values of no rule are stored as they are.
    fn providers(&self, key: &[u8]) -> &[Provider] {
        self.rule(key).map_or(&[Provider::Identity], |rule| &rule.providers)
    }

    /// Whether some rule may concern a key.
    pub(crate) fn concerns(&self, key: &[u8]) -> bool {
        self.rule(key).is_some()
    }

    /// Encrypts with the first provider.
    pub(crate) async fn encrypt(&self, key: &[u8], plain: Bytes) -> Result<Stored, String> {
        let failed = || "encrypting failed".to_owned();
        match self.providers(key).first() {
            None | Some(Provider::Identity) => Ok(Stored { value: plain, by_ring: false }),
            Some(Provider::Local { name, key: cipher }) => {
                let data = cipher.encrypt(key, &plain).ok_or_else(failed)?;
                Ok(Stored { value: [local_prefix(name, cipher).as_bytes(), &data].concat().into(), by_ring: false })
            }
            Some(Provider::Ring) => {
                let (_, ring) = self.ring.as_ref().ok_or("the ring of keys is not there")?;
                let (name, cipher) = ring.first();
                let data = cipher.encrypt(key, &plain).ok_or_else(failed)?;
                Ok(Stored { value: [local_prefix(name, cipher).as_bytes(), &data].concat().into(), by_ring: true })
            }
            Some(Provider::Kms(kms)) => {
                let plugin = self.plugins.get(&kms.name).ok_or_else(failed)?;
                let data = plugin.encrypt(key, &plain).await?;
                Ok(Stored { value: [plugin.prefix().as_bytes(), &data].concat().into(), by_ring: false })
            }
        }
    }

    /// What a stored value says. `Ok(None)` where it is stored as it is.
    pub(crate) fn decrypt(&self, key: &[u8], stored: &[u8]) -> Result<Option<Bytes>, String> {
        if !stored.starts_with(ENCRYPTED) {
            return self.plain(key).map(|()| None);
        }
        let mut why = None;
        for provider in self.providers(key) {
            match provider {
                Provider::Local { name, key: cipher } => {
                    if let Some(data) = stored.strip_prefix(local_prefix(name, cipher).as_bytes()) {
                        match cipher.decrypt(key, data) {
                            Some(plain) => return Ok(Some(plain.into())),
                            None => why = Some("no key of the configuration opens it".to_owned()),
                        }
                    }
                }
                Provider::Kms(kms) => {
                    let Some(plugin) = self.plugins.get(&kms.name) else { continue };
                    if let Some(data) = stored.strip_prefix(plugin.prefix().as_bytes()) {
                        return plugin.decrypt_known(key, data).map(|plain| Some(plain.into()));
                    }
                }
                Provider::Identity | Provider::Ring => {}
            }
        }
        if let Some((cipher, data)) = self.by_ring(stored) {
            let plain = cipher.decrypt(key, data).ok_or("the key of the ring does not open it")?;
            return Ok(Some(plain.into()));
        }
        Err(why.unwrap_or_else(|| {
            let identity = self.providers(key).iter().all(|provider| matches!(provider, Provider::Identity));
            let what =
                if identity { "identity transformer tried to read encrypted data" } else { "no matching prefix found" };
            what.to_owned()
        }))
    }

    /// Asks the plugin for what `decrypt` will need.
    pub(crate) async fn prepare(&self, key: &[u8], stored: &[u8]) -> Result<(), String> {
        if !stored.starts_with(ENCRYPTED) || self.plugins.is_empty() {
            return Ok(());
        }
        for plugin in self.plugins.values() {
            if let Some(data) = stored.strip_prefix(plugin.prefix().as_bytes()) {
                return plugin.learn(data).await.map_err(|error| format!("{error} (key {})", text(key)));
            }
        }
        Ok(())
    }

    /// Whether a value is stored in another way than it would be now.
    pub(crate) fn is_stale(&self, key: &[u8], stored: &[u8]) -> bool {
        let Some(first) = self.providers(key).first() else { return false };
        match first {
            Provider::Identity => stored.starts_with(ENCRYPTED),
            Provider::Local { name, key: cipher } => !stored.starts_with(local_prefix(name, cipher).as_bytes()),
            Provider::Ring => {
                let Some((_, ring)) = &self.ring else { return false };
                let (name, cipher) = ring.first();
                !stored.starts_with(local_prefix(name, cipher).as_bytes())
            }
            Provider::Kms(kms) => {
                let Some(plugin) = self.plugins.get(&kms.name) else { return false };
                stored.strip_prefix(plugin.prefix().as_bytes()).is_none_or(|data| plugin.is_stale(data))
            }
        }
    }

    /// Whether a value needs a key of the ring that no longer writes.
    pub(crate) fn is_by_older_key(&self, stored: &[u8]) -> bool {
        let older = self.ring.as_ref().map(|(_, ring)| &ring.keys()[1..]).unwrap_or_default();
        stored.starts_with(ENCRYPTED)
            && older.iter().any(|(name, key)| stored.starts_with(local_prefix(name, key).as_bytes()))
    }

    /// Whether a value is encrypted at all.
    pub(crate) fn is_encrypted(stored: &[u8]) -> bool {
        stored.starts_with(ENCRYPTED)
    }

    /// What a value's first provider is called in metrics: its prefix.
    pub(crate) fn prefix_of(stored: &[u8]) -> String {
        if !stored.starts_with(ENCRYPTED) {
            return "identity".to_owned();
        }
        let end = stored.iter().enumerate().filter(|(_, byte)| **byte == b':').nth(4).map_or(0, |(at, _)| at + 1);
        text(&stored[..end])
    }

    /// Plain values are taken where identity may have written them, or the time before encryption.
    fn plain(&self, key: &[u8]) -> Result<(), String> {
        let may = |provider: &Provider| matches!(provider, Provider::Identity | Provider::Ring);
        if !self.concerns(key) || self.providers(key).iter().any(may) {
            return Ok(());
        }
        Err("no matching prefix found".to_owned())
    }

    fn by_ring<'a>(&self, stored: &'a [u8]) -> Option<(&CipherKey, &'a [u8])> {
        let rest = stored.strip_prefix(b"k8s:enc:aesgcm:v1:")?;
        let end = rest.iter().position(|byte| *byte == b':')?;
        let cipher = self.known.get(std::str::from_utf8(&rest[..end]).ok()?)?;
        Some((cipher, &rest[end + 1..]))
    }
}

fn local_prefix(name: &str, key: &CipherKey) -> String {
    format!("k8s:enc:{}:v1:{name}:", key.cipher().name())
}

/// Group and plural of the object under a key; the group of the core is empty.
pub(crate) fn resource(key: &[u8]) -> Option<(&str, &str)> {
    let mut parts = std::str::from_utf8(key).ok()?.strip_prefix(OBJECTS)?.splitn(3, '/');
    let (group, plural) = (parts.next()?, parts.next()?);
    // wire: events are named without a group, whatever group they came through.
    let group = if matches!(group, "core" | "events.k8s.io") { "" } else { group };
    Some((group, plural))
}

/// Whether a name of a configuration means this resource.
fn names(name: &str, group: &str, plural: &str) -> bool {
    match name.split_once('.') {
        None => group.is_empty() && name == plural,
        Some(("*", "*")) => true,
        Some(("*", of)) => group == of,
        Some((resource, of)) => resource == plural && of == group,
    }
}

pub(crate) fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}
