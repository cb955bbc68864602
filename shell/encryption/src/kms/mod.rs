//! Envelopes of KMS v2: values are encrypted with keys derived from a seed, and the plugin encrypts the seed alone.
//!
//! Invariants: a seed is drawn once for a server and a key id of the plugin; a key is derived for each value with a
//! random input of its own; seeds in the clear are in memory only, and a plugin that is down keeps nobody from reading
//! what was encrypted with a seed that is known.

mod message;
mod plugin;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use parking_lot::Mutex;
use prost::Message;

use crate::cipher::{gcm_decrypt, gcm_encrypt};
use crate::config::KmsProvider;
use crate::limits::{KEY_BYTES, KMS_CHECK, KMS_KEY_ID_BYTES, KMS_SEEDS, KMS_WRITE};
use crate::sealing::random;
use message::EncryptedObject;
use plugin::Plugin;

/// A seed, from which a key for each value is derived.
const SEED: i32 = 1;
/// Bytes of what a key is derived with.
const INFO_BYTES: usize = 32;
/// What a plugin must say to be usable.
const VERSIONS: [&str; 2] = ["v2", "v2beta1"];

/// One plugin, and what it has said.
pub struct Kms {
    provider: KmsProvider,
    prefix: String,
    plugin: Plugin,
    current: tokio::sync::Mutex<()>,
    writing: Mutex<Option<Writing>>,
    /// Decrypted seeds by their encrypted form.
    known: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// What is written with.
#[derive(Clone)]
struct Writing {
    seed: [u8; KEY_BYTES],
    envelope: EncryptedObject,
    /// When the plugin last said that this is its key.
    confirmed: Instant,
}

impl Kms {
    pub(crate) fn new(provider: KmsProvider) -> Self {
        Kms {
            prefix: format!("k8s:enc:kms:v2:{}:", provider.name),
            plugin: Plugin::new(&provider.socket, provider.timeout),
            provider,
            current: tokio::sync::Mutex::default(),
            writing: Mutex::default(),
            known: Mutex::default(),
        }
    }

    pub(crate) fn provider(&self) -> &KmsProvider {
        &self.provider
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.provider.name
    }

    /// Asks the plugin whether it can be used, and takes note of its key.
    pub async fn check(&self) -> Result<(), String> {
        let _one = self.current.lock().await;
        self.confirm().await
    }

    /// The envelope of a value.
    pub(crate) async fn encrypt(&self, key: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
        let Writing { seed, envelope, .. } = self.writing().await?;
        let info = random::<INFO_BYTES>().map_err(|error| error.to_string())?;
        let derived = derive(&seed, &info).ok_or("deriving a key failed")?;
        let data = gcm_encrypt(&derived, key, plain).ok_or("encrypting failed")?;
        Ok(EncryptedObject { encrypted_data: [&info[..], &data].concat(), ..envelope }.encode_to_vec())
    }

    /// Opens an envelope whose seed is known.
    pub(crate) fn decrypt_known(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, String> {
        let envelope = decode(data)?;
        let source = self.known.lock().get(&envelope.encrypted_dek_source).cloned();
        let source = source.ok_or("failed to decrypt DEK: the plugin has not decrypted it")?;
        let plain = if envelope.encrypted_dek_source_type == SEED {
            let parts = envelope.encrypted_data.split_first_chunk::<INFO_BYTES>();
            parts.and_then(|(info, data)| gcm_decrypt(&derive(&source, info)?, key, data))
        } else {
            gcm_decrypt(&source, key, &envelope.encrypted_data)
        };
        plain.ok_or_else(|| "the envelope does not open with its key".to_owned())
    }

    /// Has the plugin decrypt the seed of an envelope, unless that is known.
    pub(crate) async fn learn(&self, data: &[u8]) -> Result<(), String> {
        let envelope = decode(data)?;
        if self.known.lock().contains_key(&envelope.encrypted_dek_source) {
            return Ok(());
        }
        let EncryptedObject { encrypted_dek_source, key_id, annotations, .. } = envelope;
        let seed = self.plugin.decrypt(encrypted_dek_source.clone(), key_id, annotations).await;
        let seed = seed.map_err(|status| format!("failed to decrypt DEK, error: {}", said(&status)))?;
        self.remember(encrypted_dek_source, seed);
        Ok(())
    }

    /// Whether an envelope was written under another key of the plugin than its present one.
    pub(crate) fn is_stale(&self, data: &[u8]) -> bool {
        let writing = self.writing.lock();
        let Some(writing) = &*writing else { return false };
        decode(data).is_ok_and(|envelope| envelope.key_id != writing.envelope.key_id)
    }

    async fn writing(&self) -> Result<Writing, String> {
        let _one = self.current.lock().await;
        let there = self.writing.lock().clone();
        let age = there.as_ref().map(|writing| writing.confirmed.elapsed());
        if age.is_none_or(|age| age > KMS_CHECK)
            && let Err(error) = self.confirm().await
            && age.is_none_or(|age| age > KMS_WRITE)
        {
            return Err(error);
        }
        self.writing.lock().clone().ok_or_else(|| "the plugin has no key".to_owned())
    }

    /// Asks for the plugin's key, and draws a seed where it is a new one.
    async fn confirm(&self) -> Result<(), String> {
        let status = self.plugin.status().await;
        let status = status.map_err(|status| {
            format!(
                "failed to perform status section of the healthz check for KMS Provider {}, error: {}",
                self.provider.name,
                said(&status)
            )
        })?;
        if status.healthz != "ok" {
            return Err(format!("got unexpected healthz status: {}", status.healthz));
        }
        if !VERSIONS.contains(&status.version.as_str()) {
            return Err(format!("unexpected KMS API version {}", status.version));
        }
        check_key_id(&status.key_id)?;
        if let Some(writing) = &mut *self.writing.lock()
            && writing.envelope.key_id == status.key_id
        {
            writing.confirmed = Instant::now();
            return Ok(());
        }
        let seed = random::<KEY_BYTES>().map_err(|error| error.to_string())?;
        let answer = self.plugin.encrypt(seed.to_vec()).await;
        let answer = answer.map_err(|status| format!("failed to encrypt DEK, error: {}", said(&status)))?;
        check_key_id(&answer.key_id)?;
        if answer.ciphertext.is_empty() || answer.ciphertext.len() > KMS_KEY_ID_BYTES {
            return Err("failed to validate encrypted DEK source: it is empty, or longer than 1 kB".to_owned());
        }
        self.remember(answer.ciphertext.clone(), seed.to_vec());
        let envelope = EncryptedObject {
            encrypted_data: Vec::new(),
            key_id: answer.key_id,
            encrypted_dek_source: answer.ciphertext,
            annotations: answer.annotations,
            encrypted_dek_source_type: SEED,
        };
        *self.writing.lock() = Some(Writing { seed, envelope, confirmed: Instant::now() });
        Ok(())
    }

    fn remember(&self, encrypted: Vec<u8>, seed: Vec<u8>) {
        let mut known = self.known.lock();
        if known.len() >= KMS_SEEDS {
            known.pop_first();
        }
        known.insert(encrypted, seed);
    }
}

fn derive(seed: &[u8], info: &[u8]) -> Option<[u8; KEY_BYTES]> {
    struct Length;
    impl KeyType for Length {
        fn len(&self) -> usize {
            KEY_BYTES
        }
    }
    let mut key = [0; KEY_BYTES];
    Prk::new_less_safe(HKDF_SHA256, seed).expand(&[info], Length).ok()?.fill(&mut key).ok()?;
    Some(key)
}

fn decode(data: &[u8]) -> Result<EncryptedObject, String> {
    EncryptedObject::decode(data).map_err(|error| format!("failed to unmarshal the envelope: {error}"))
}

fn check_key_id(id: &str) -> Result<(), String> {
    if id.is_empty() || id.len() > KMS_KEY_ID_BYTES {
        return Err("the plugin's key id is empty, or longer than 1 kB".to_owned());
    }
    Ok(())
}

fn said(status: &tonic::Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// Calls and seeds of the plugins, in Prometheus' text format.
pub(crate) fn metrics(plugins: &[Arc<Kms>]) -> String {
    let mut out = String::new();
    let name = "apiserver_envelope_encryption_kms_operations_latency_seconds";
    let _ = writeln!(out, "# HELP {name} [ALPHA] How long calls to plugins took.\n# TYPE {name} summary");
    for kms in plugins {
        for ((method, code), (count, time)) in kms.plugin.calls() {
            let provider = kms.name();
            let labels = format!("grpc_status_code={code:?},method_name={method:?},provider_name={provider:?}");
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}", time.as_secs_f64());
        }
    }
    let name = "apiserver_envelope_encryption_dek_source_cache_size";
    let _ = writeln!(out, "# HELP {name} [ALPHA] Decrypted seeds in memory.\n# TYPE {name} gauge");
    for kms in plugins {
        let _ = writeln!(out, "{name}{{provider_name={:?}}} {}", kms.name(), kms.known.lock().len());
    }
    out
}
