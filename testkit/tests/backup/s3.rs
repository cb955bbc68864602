//! Backups in S3, by the program and by the schedule, against a storage that checks every signature.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use gantry_testkit::{Output, PATIENCE, failpoints_binary, wait_for};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::world::{World, path};

const KEY: &str = "AKIAEXAMPLE";
const SECRET: &str = "a secret of forty characters, more or less";
const PLACE: &str = "s3://bucket/clusters/one";

/// A storage with one bucket.
async fn storage(folder: &TempDir) -> SocketAddr {
    std::fs::create_dir(folder.path().join("bucket")).expect("a bucket");
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("a storage"));
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = service.clone();
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn run(secret: &str, words: &[&str]) -> Output {
    let mut command = Command::new(failpoints_binary());
    command.args(words).env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", secret).stdin(Stdio::null());
    let output = command.output().expect("gantry");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_go_to_s3_and_come_back() {
    let bucket = tempfile::tempdir().expect("a folder");
    let endpoint = format!("http://{}", storage(&bucket).await);
    tokio::task::block_in_place(|| {
        let world = World::start();
        world.server.kubectl("create configmap kept --from-literal=a=b").expect_ok();
        let (data, key) = (world.data(), world.key());
        let to = ["--to", PLACE, "--s3-endpoint", &endpoint, "--data-dir", &data];
        let from = ["--from", PLACE, "--s3-endpoint", &endpoint];
        let error = run("another", &[&["backup", "create"], &to[..]].concat()).expect_err();
        assert!(error.contains("SignatureDoesNotMatch"), "{error}");
        run(SECRET, &[&["backup", "create"], &to[..]].concat()).expect_ok();

        // The schedule keeps the keys for itself.
        run(SECRET, &[&["backup", "schedule", "--every", "1s", "--keep", "1"], &to[..]].concat()).expect_ok();
        let count = || {
            let listed = run(SECRET, &[&["backup", "list", "--data-dir", &data], &from[..]].concat());
            listed.out.lines().filter(|line| line.contains(".backup") && line.starts_with("gantry-")).count()
        };
        wait_for("a scheduled backup", PATIENCE, || if count() >= 2 { Ok(()) } else { Err(format!("{}", count())) });
        let shown = run("", &["backup", "schedule", "--show", "--data-dir", &data]);
        assert!(shown.ok && !shown.out.contains(SECRET), "{shown:?}");
        let raw = world.server.kubectl("get --raw /gantry/v1/backup/schedule").expect_ok();
        assert!(raw.contains("(hidden)") && !raw.contains(SECRET), "{raw}");
        run("", &["backup", "schedule", "--remove", "--data-dir", &data]).expect_ok();

        let elsewhere = path(&world.folder.path().join("elsewhere"));
        let words = ["backup", "restore", "--key", &key, "--data-dir", &elsewhere];
        let restored = run(SECRET, &[&words[..], &from[..]].concat()).expect_ok();
        assert!(restored.contains("was restored"), "{restored}");
    });
}
