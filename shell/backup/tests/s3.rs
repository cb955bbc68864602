//! Backups in S3, against a server that checks every signature; and the same server when it is not well.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gantry_backup::{BackupError, Head, Lock, Manifest, Opener, Place, S3Access, Sealer, create_key_file};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use jiff::Timestamp;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;

const KEY: &str = "AKIAEXAMPLE";
const SECRET: &str = "a secret of forty characters, more or less";

/// A storage with one bucket, and how many of its next answers are 503.
struct Storage {
    folder: TempDir,
    address: SocketAddr,
    unwell: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
}

impl Storage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (unwell, requests) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, builder.build(), unwell.clone(), requests.clone()));
        Storage { folder, address, unwell, requests }
    }

    fn access(&self) -> S3Access {
        S3Access {
            endpoint: Some(format!("http://{}", self.address)),
            access_key: KEY.to_owned(),
            secret_key: SECRET.to_owned(),
            ..S3Access::default()
        }
    }

    fn place(&self) -> Place {
        Place::new("s3://bucket/clusters/one", &self.access()).unwrap()
    }

    /// Names of all objects below the prefix.
    fn objects(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("bucket/clusters/one")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

async fn serve(listener: TcpListener, storage: S3Service, unwell: Arc<AtomicU32>, requests: Arc<AtomicU32>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (storage, unwell, requests) = (storage.clone(), unwell.clone(), requests.clone());
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (storage, unwell, requests) = (storage.clone(), unwell.clone(), requests.clone());
            async move {
                requests.fetch_add(1, Ordering::SeqCst);
                let fails = unwell.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                if fails {
                    let text =
                        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
                    let answer = http::Response::builder().status(503).body(s3s::Body::from(text.to_owned()));
                    return Ok::<_, Infallible>(answer.unwrap());
                }
                Ok(Service::call(&storage, request).await.unwrap())
            }
        });
        tokio::spawn(async move {
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn keys() -> (Lock, Opener) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let public = create_key_file(&path, Timestamp::UNIX_EPOCH).unwrap();
    (Lock::for_recipients(&[public]).unwrap(), Opener::key_file(&path).unwrap())
}

/// Keeps a backup with so many bytes that cannot be compressed.
async fn keep(place: &Place, revision: u64, bytes: usize, lock: &Lock) -> Result<Manifest, BackupError> {
    let head = Head {
        cluster_id: "0b5c2f7e".to_owned(),
        created: Timestamp::from_second(1_790_000_000 + i64::try_from(revision).unwrap()).unwrap(),
        revision,
        gantry_version: "0.1.0".to_owned(),
        store_format: "gantry-store 2".to_owned(),
        scheduled: false,
    };
    let draft = place.draft()?;
    let mut sealer = Sealer::new(draft.file()?, &head, lock)?;
    let mut state = revision;
    for number in 0..=bytes / (1 << 20) {
        let value: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(bytes.min(1 << 20))
        .collect();
        sealer.payload().entry(format!("/registry/{number:04}").as_bytes(), &value).unwrap();
    }
    let (_, manifest) = sealer.finish()?;
    place.keep(draft, &manifest).await?;
    Ok(manifest)
}

#[tokio::test]
async fn a_backup_goes_there_and_comes_back() {
    let storage = Storage::start().await;
    let (place, (lock, opener)) = (storage.place(), keys());
    let old = keep(&place, 7, 1000, &lock).await.unwrap();
    let new = keep(&place, 8, 1000, &lock).await.unwrap();
    std::fs::write(storage.folder.path().join("bucket/clusters/one/gantry-bad.backup"), "no backup").unwrap();
    std::fs::write(storage.folder.path().join("bucket/clusters/one/gantry-empty.backup"), "").unwrap();
    let listed = place.list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|l| (l.name.as_str(), l.found.is_ok())).collect();
    let (old_name, new_name) = (old.file_name(), new.file_name());
    assert_eq!(names[..2], [(new_name.as_str(), true), (old_name.as_str(), true)]);
    assert_eq!(names[2..], [("gantry-empty.backup", false), ("gantry-bad.backup", false)]);
    let file = place.fetch(&new_name).await.unwrap();
    assert_eq!(file.manifest(), &new);
    tokio::task::spawn_blocking(move || file.check(&opener)).await.unwrap().unwrap();
    place.remove(&old_name).await.unwrap();
    assert_eq!(place.list().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_large_one_goes_in_parts() {
    let storage = Storage::start().await;
    let (place, (lock, opener)) = (storage.place(), keys());
    // The second request, and one of the parts, are answered 503 first.
    let kept = tokio::join!(keep(&place, 9, 40 << 20, &lock), async {
        while storage.requests.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        storage.unwell.store(2, Ordering::SeqCst);
    });
    let manifest = kept.0.unwrap();
    assert!(manifest.size_bytes() > 32 << 20, "{}", manifest.size_bytes());
    let file = place.fetch(&manifest.file_name()).await.unwrap();
    tokio::task::spawn_blocking(move || file.check(&opener)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_wrong_for_a_moment_is_tried_again() {
    let storage = Storage::start().await;
    let (lock, _) = keys();
    storage.unwell.store(2, Ordering::SeqCst);
    keep(&storage.place(), 7, 1000, &lock).await.unwrap();
    assert_eq!(storage.objects().len(), 1);
}

#[tokio::test]
async fn what_stays_wrong_is_given_up_and_leaves_nothing() {
    let storage = Storage::start().await;
    let (lock, _) = keys();
    storage.unwell.store(u32::MAX, Ordering::SeqCst);
    let error = tokio::time::timeout(Duration::from_secs(30), keep(&storage.place(), 7, 1000, &lock)).await.unwrap();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("503 SlowDown: Please reduce your request rate."), "{error}");
    assert_eq!(storage.requests.load(Ordering::SeqCst), 4, "attempts");
    assert!(storage.objects().is_empty());
}

#[tokio::test]
async fn a_wrong_secret_is_refused_at_once_and_in_s3s_words() {
    let storage = Storage::start().await;
    let access = S3Access { secret_key: "another".to_owned(), ..storage.access() };
    let place = Place::new("s3://bucket/clusters/one", &access).unwrap();
    let error = keep(&place, 7, 1000, &keys().0).await.unwrap_err();
    assert!(matches!(error, BackupError::S3 { code: 403, .. }), "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    assert_eq!(storage.requests.load(Ordering::SeqCst), 1, "attempts");
    let Err(error) = place.list().await else { panic!("the list was given") };
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let storage = Storage::start().await;
    let place = Place::new("s3://nowhere/x", &storage.access()).unwrap();
    let Err(error) = place.list().await else { panic!("there is a list") };
    let error = error.to_string();
    assert!(error.contains("NoSuchBucket") && error.contains("s3://nowhere/x/"), "{error}");
}

#[tokio::test]
async fn a_storage_that_is_not_there_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let access = S3Access {
        endpoint: Some(endpoint),
        access_key: KEY.to_owned(),
        secret_key: SECRET.to_owned(),
        ..S3Access::default()
    };
    let place = Place::new("s3://bucket", &access).unwrap();
    let error = keep(&place, 7, 1000, &keys().0).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}
