//! Certificates and keys: whether they hold, for how long, and whether others can read them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::Finding;
use crate::paths::Paths;

/// From here on an end is near.
const SOON_DAYS: i64 = 30;
const DAY: i64 = 86_400;

/// Findings about certificates and keys; none where there is no cluster.
pub fn findings(paths: &Paths) -> Vec<Finding> {
    let mut findings = Vec::new();
    let certificates = certificates(paths);
    if !certificates.is_empty() {
        findings.push(validity(&certificates, Timestamp::now()));
    }
    let private = private_files(paths);
    if !private.is_empty() {
        findings.push(modes(&private));
    }
    findings
}

/// All certificates with what they are called.
fn certificates(paths: &Paths) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    if let Ok(pem) = std::fs::read(paths.pki().join("ca.crt")) {
        all.push(("the authority".to_owned(), pem));
    }
    for (name, file) in [("admin.kubeconfig", paths.admin_kubeconfig()), ("node.kubeconfig", paths.node_kubeconfig())] {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let config: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        let data = config["users"][0]["user"]["client-certificate-data"].as_str().unwrap_or_default();
        all.push((name.to_owned(), STANDARD.decode(data).unwrap_or_default()));
    }
    all
}

fn validity(certificates: &[(String, Vec<u8>)], now: Timestamp) -> Finding {
    const NAME: &str = "certificates";
    let help = "restart the server: it makes new certificates at every start";
    let mut nearest: Option<(i64, &str)> = None;
    for (name, pem) in certificates {
        let Some((from, to)) = times(pem) else {
            return Finding::fail(NAME, format!("that of {name} cannot be read"), help);
        };
        if now.as_second() < from {
            let message =
                format!("that of {name} is not valid yet: this clock is behind, or was ahead when it was made");
            return Finding::fail(NAME, message, "set the clock by NTP: apt-get install chrony");
        }
        let days = (to - now.as_second()).div_euclid(DAY);
        if nearest.is_none_or(|(least, _)| days < least) {
            nearest = Some((days, name));
        }
    }
    match nearest {
        Some((days, name)) if days < 0 => Finding::fail(NAME, format!("that of {name} ended {} days ago", -days), help),
        Some((days, name)) if days < SOON_DAYS => {
            Finding::warn(NAME, format!("that of {name} ends in {days} days"), help)
        }
        Some((days, name)) => {
            Finding::ok(NAME, format!("all hold; the first to end is that of {name}, in {days} days"))
        }
        None => Finding::ok(NAME, "there are none"),
    }
}

fn times(pem: &[u8]) -> Option<(i64, i64)> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// Files that nobody but their owner may read.
fn private_files(paths: &Paths) -> Vec<PathBuf> {
    let keys = std::fs::read_dir(paths.pki()).into_iter().flatten().flatten().map(|entry| entry.path());
    let keys = keys.filter(|path| path.extension().is_some_and(|end| end == "key"));
    let configs = [paths.admin_kubeconfig(), paths.node_kubeconfig()].into_iter().filter(|path| path.exists());
    keys.chain(configs).collect()
}

fn modes(files: &[PathBuf]) -> Finding {
    const NAME: &str = "key files";
    let open = |path: &&PathBuf| mode(path).is_none_or(|mode| mode & 0o077 != 0);
    let names: Vec<String> = files.iter().filter(open).map(|path| path.display().to_string()).collect();
    if names.is_empty() {
        return Finding::ok(NAME, format!("all {} are readable by their owner alone", files.len()));
    }
    let names = names.join(" ");
    Finding::fail(NAME, format!("others can read {names}"), format!("chmod 600 {names}"))
}

fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::metadata(path).ok()?.permissions().mode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;
    use crate::pki::Authority;

    #[test]
    fn the_first_to_end_counts() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        let leaf = authority.issue_client("a", Some("b")).unwrap();
        let all = [
            ("the authority".to_owned(), authority.cert_pem().as_bytes().to_vec()),
            ("x".to_owned(), leaf.cert_pem.into_bytes()),
        ];
        let at = |days: i64| Timestamp::from_second(Timestamp::now().as_second() + days * DAY).unwrap();
        let check = |days, state, words: &str| {
            let finding = validity(&all, at(days));
            assert_eq!(finding.state, state, "{}", finding.message);
            assert!(finding.message.contains(words), "{}", finding.message);
        };
        check(0, State::Ok, "that of x, in 36");
        check(340, State::Warn, "that of x ends in 2");
        check(400, State::Fail, "that of x ended");
        check(-2, State::Fail, "not valid yet");
        assert_eq!(validity(&[("y".to_owned(), b"nonsense".to_vec())], at(0)).state, State::Fail);
    }

    #[test]
    fn open_keys_are_named_with_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let (closed, open) = (folder.path().join("a.key"), folder.path().join("b.key"));
        for (path, mode) in [(&closed, 0o600), (&open, 0o640)] {
            std::fs::write(path, "x").unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
        assert_eq!(modes(std::slice::from_ref(&closed)).state, State::Ok);
        let finding = modes(&[closed, open.clone()]);
        assert_eq!((finding.state, finding.help), (State::Fail, format!("chmod 600 {}", open.display())));
    }
}
