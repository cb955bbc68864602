//! What all servers on one store share: the authority and the key of service-account tokens. The first server puts
//! them into the store, encrypted with the cluster key; every other one takes them from there.
//!
//! Invariants: whatever is in the store wins, and is never replaced; a data directory that belongs to another cluster
//! is refused, never overwritten; nothing secret is in the store in the clear.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gantry_store::{Commit, Store, StoreError, Txn};
use serde_json::{Value, json};

use super::files::{read_if_there, write_private};
use super::{Authority, TOKEN_KEY, authority};

/// Where they are in the store.
const KEY: &[u8] = b"/gantry/cluster/credentials";
/// Format of what is there.
const FORMAT: &str = "gantry-credentials-1";
/// How often the store is asked again when others were faster or an answer was lost.
const ATTEMPTS: usize = 10;
/// Bytes of a cluster key.
const KEY_BYTES: usize = 32;

/// Brings `folder` to what the cluster on `store` shares; puts that there first if nobody has.
pub async fn agree(store: &dyn Store, folder: &Path, key_file: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut made_key = false;
    for _ in 0..ATTEMPTS {
        let found = store.range(Bytes::from_static(KEY)).await.context("reading what the servers share")?;
        if let Some(entry) = found.entries.first() {
            let key = ClusterKey::read(key_file)?.with_context(|| {
                format!("{} is not there: copy it from the server that was started first", key_file.display())
            })?;
            let shared = key.open(&entry.value).with_context(|| {
                format!("{} cannot open what the servers share; use the file of the others", key_file.display())
            })?;
            return shared.write(folder);
        }
        let key = match ClusterKey::read(key_file)? {
            Some(key) => key,
            None => {
                made_key = true;
                ClusterKey::create(key_file)?
            }
        };
        let sealed = key.seal(&Credentials::find_or_create(folder)?)?;
        let key = Bytes::from_static(KEY);
        let txn = Txn { compare: vec![(key.clone(), 0)], writes: vec![(key, Some(sealed))], durable: true };
        match store.commit(txn).await {
            Ok(Commit::Done(_)) | Err(StoreError::Unknown { .. } | StoreError::Unavailable { .. }) => {}
            Ok(Commit::Conflict { .. }) if made_key => {
                // Another server was the first: its key counts.
                std::fs::remove_file(key_file).with_context(|| format!("removing {}", key_file.display()))?;
            }
            Ok(Commit::Conflict { .. }) => {}
            Err(error) => return Err(error).context("writing what the servers share"),
        }
    }
    bail!("the store did not keep what the servers share in {ATTEMPTS} attempts")
}

/// The key that encrypts what is shared: base64 of 32 bytes in a file.
struct ClusterKey(RandomizedNonceKey);

impl ClusterKey {
    fn read(path: &Path) -> Result<Option<Self>> {
        let Some(text) = read_if_there(path)? else { return Ok(None) };
        let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.with_context(|| {
            format!("{} is not a cluster key: base64 of {KEY_BYTES} bytes is expected", path.display())
        })?;
        Self::of(&bytes).map(Some)
    }

    fn create(path: &Path) -> Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("no random bytes are to be had"))?;
        write_private(path, &format!("{}\n", STANDARD.encode(bytes)))?;
        Self::of(&bytes)
    }

    fn of(bytes: &[u8]) -> Result<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes).map(ClusterKey).map_err(|_| anyhow!("using the cluster key"))
    }

    fn seal(&self, credentials: &Credentials) -> Result<Bytes> {
        let mut data = credentials.to_value().to_string().into_bytes();
        let sealed = self.0.seal_in_place_append_tag(Aad::from(KEY), &mut data);
        let nonce = sealed.map_err(|_| anyhow!("encrypting what the servers share"))?;
        let nonce = STANDARD.encode(nonce.as_ref());
        let value = json!({"format": FORMAT, "nonce": nonce, "data": STANDARD.encode(data)});
        Ok(Bytes::from(value.to_string()))
    }

    fn open(&self, sealed: &[u8]) -> Result<Credentials> {
        let value: Value = serde_json::from_slice(sealed).context("reading what is in the store")?;
        if value["format"] != FORMAT {
            bail!("the store has format {}, this program reads {FORMAT}", value["format"]);
        }
        let part = |name: &str| value[name].as_str().and_then(|text| STANDARD.decode(text).ok());
        let (nonce, data) = part("nonce").zip(part("data")).context("what is in the store is damaged")?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| anyhow!("what is in the store is damaged"))?;
        let mut data = data;
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(KEY), &mut data);
        let opened = opened.map_err(|_| anyhow!("it was encrypted with another cluster key"))?;
        Credentials::of_value(&serde_json::from_slice(opened).context("reading what the servers share")?)
    }
}

/// Texts of files, by the names that they have in the data directory.
#[derive(Debug, PartialEq, Eq)]
struct Credentials([(&'static str, String); 3]);

impl Credentials {
    const FILES: [&str; 3] = [Authority::KEY, Authority::CERTIFICATE, TOKEN_KEY];

    /// What `folder` has, so that a cluster may move to a shared store with what its clients know; else new ones.
    fn find_or_create(folder: &Path) -> Result<Self> {
        let read =
            |name: &'static str| -> Result<_> { Ok(read_if_there(&folder.join(name))?.map(|text| (name, text))) };
        let [key, certificate, token] = Self::FILES.map(read);
        if let (Some(key), Some(certificate), Some(token)) = (key?, certificate?, token?) {
            return Ok(Credentials([key, certificate, token]));
        }
        let (key, certificate) = Authority::new_pem()?;
        let token = authority::new_key_pem()?;
        Ok(Credentials([(Authority::KEY, key), (Authority::CERTIFICATE, certificate), (TOKEN_KEY, token)]))
    }

    /// Writes the files; refuses where one is there and says something else.
    fn write(&self, folder: &Path) -> Result<()> {
        for (name, text) in &self.0 {
            let path = folder.join(name);
            match read_if_there(&path)? {
                Some(there) if there == *text => {}
                Some(_) => bail!(
                    "{} is not that of the cluster in the store: this data directory belongs to another cluster; use \
                     another --data-dir",
                    path.display()
                ),
                None => write_private(&path, text)?,
            }
        }
        Ok(())
    }

    fn to_value(&self) -> Value {
        self.0.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str()))).collect()
    }

    fn of_value(value: &Value) -> Result<Self> {
        let text = |name: &'static str| {
            let text = value[name].as_str().with_context(|| format!("{name} is missing in what the servers share"))?;
            Ok::<_, anyhow::Error>((name, text.to_owned()))
        };
        let [key, certificate, token] = Self::FILES.map(text);
        Ok(Credentials([key?, certificate?, token?]))
    }
}

#[cfg(test)]
mod tests {
    use gantry_store::MemoryStore;

    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        Credentials::FILES.iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect()
    }

    /// Folders of servers, and a key file that all of them use.
    struct World {
        folder: tempfile::TempDir,
        store: MemoryStore,
    }

    impl World {
        fn new() -> Self {
            World { folder: tempfile::tempdir().unwrap(), store: MemoryStore::new() }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.folder.path().join(name)
        }

        async fn agree(&self, folder: &str, key: &str) -> Result<()> {
            agree(&self.store, &self.path(folder), &self.path(key)).await
        }

        /// The refusal of a server, which says `what`.
        async fn refused(&self, folder: &str, key: &str, what: &str) {
            let why = format!("{:#}", self.agree(folder, key).await.unwrap_err());
            assert!(why.contains(what), "{why}");
        }
    }

    #[tokio::test]
    async fn the_second_server_has_what_the_first_has() {
        let world = World::new();
        world.agree("a", "key").await.unwrap();
        world.agree("b", "key").await.unwrap();
        assert_eq!(files(&world.path("a")), files(&world.path("b")));
        let before = files(&world.path("a"));
        world.agree("a", "key").await.unwrap();
        assert_eq!(files(&world.path("a")), before);
        let stored = world.store.range(Bytes::from_static(KEY)).await.unwrap().entries.remove(0).value;
        assert!(!String::from_utf8_lossy(&stored).contains("PRIVATE"), "it is encrypted");
    }

    #[tokio::test]
    async fn a_server_without_the_right_key_is_refused() {
        let world = World::new();
        world.agree("a", "key").await.unwrap();
        world.refused("b", "none", "copy it from the server that was started first").await;
        ClusterKey::create(&world.path("other")).unwrap();
        world.refused("b", "other", "encrypted with another cluster key").await;
        std::fs::write(world.path("text"), "not a key").unwrap();
        world.refused("b", "text", "is not a cluster key").await;
        assert!(!world.path("b").join(Authority::KEY).exists() && !world.path("none").exists());
    }

    #[tokio::test]
    async fn a_data_directory_of_another_cluster_is_refused() {
        let (one, other) = (World::new(), World::new());
        one.agree("a", "key").await.unwrap();
        other.agree("a", "key").await.unwrap();
        let before = files(&one.path("a"));
        let why = agree(&other.store, &one.path("a"), &other.path("key")).await.unwrap_err().to_string();
        assert!(why.contains("belongs to another cluster"), "{why}");
        assert_eq!(files(&one.path("a")), before, "and left as it is");
    }

    #[tokio::test]
    async fn what_a_cluster_has_on_disk_goes_with_it() {
        let world = World::new();
        let folder = world.path("a");
        super::super::prepare(&folder, &[], &[]).unwrap();
        let before = files(&folder);
        world.agree("a", "key").await.unwrap();
        world.agree("b", "key").await.unwrap();
        assert_eq!((files(&folder), files(&world.path("b"))), (before.clone(), before));
    }
}
