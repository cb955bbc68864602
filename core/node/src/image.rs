//! Images: which names can be images at all, when to pull, and what a container was made from.

use k8s_openapi::api::core::v1::Container;

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// When it is not here.
    IfNotPresent,
    /// Never.
    Never,
}

/// The container's pull policy; the API has filled in the default.
pub fn pull_policy(container: &Container) -> PullPolicy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        _ => PullPolicy::IfNotPresent,
    }
}

/// Says why a text cannot name an image.
pub fn check(reference: &str) -> Result<(), String> {
    let bad = || Err(format!("couldn't parse image name {reference:?}: invalid reference format"));
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return bad();
    }
    let (host, path) = split_host(rest);
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    let tag_ok = tag.is_none_or(|tag| {
        let mut characters = tag.chars();
        let first = characters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        first && tag.len() <= 128 && characters.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    });
    let host_ok = host.is_none_or(|host| {
        let (name, port) = host.split_once(':').unwrap_or((host, "0"));
        let name_ok = name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) && !name.starts_with('-');
        name_ok && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
    });
    if path.chars().any(|c| c.is_ascii_uppercase()) && path.is_ascii() && tag_ok && host_ok {
        return Err(format!(
            "couldn't parse image name {reference:?}: invalid reference format: repository name ({path}) must be lowercase"
        ));
    }
    if tag_ok && host_ok && path.split('/').all(is_component) { Ok(()) } else { bad() }
}

fn split_host(rest: &str) -> (Option<&str>, &str) {
    match rest.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), path),
        _ => (None, rest),
    }
}

/// Lower-case letters and digits, in groups joined by `.`, `_`, `__` or dashes.
fn is_component(component: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut run = String::new();
    for c in component.chars() {
        if letter(c) {
            run.clear();
        } else if "._-".contains(c) {
            run.push(c);
            let dashes = run.chars().all(|c| c == '-');
            if !dashes && run != "." && run != "_" && run != "__" {
                return false;
            }
        } else {
            return false;
        }
    }
    component.starts_with(letter) && component.ends_with(letter)
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let long_enough = if algorithm == "sha256" { hex.len() == 64 } else { hex.len() >= 32 };
    !algorithm.is_empty() && long_enough && hex.chars().all(|c| c.is_ascii_hexdigit())
}

/// A short text that differs when the parts of a container that may change under a running pod differ.
pub fn spec_hash(container: &Container) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in container.name.bytes().chain([0]).chain(container.image.iter().flat_map(|image| image.bytes())) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let digest = format!("busybox@sha256:{}", "a".repeat(64));
        for good in ["busybox", "gantry.local/pause:1", "127.0.0.1:5000/a/b_c:v1.2-x", "a__b", "x--y", &digest] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "web:", "/x", "x/", "a//b", "a.-b", "x:y:z", "busybox@sha256:12", "a___b"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let words =
            "couldn't parse image name \"Web\": invalid reference format: repository name (Web) must be lowercase";
        assert_eq!(check("Web").unwrap_err(), words);
    }
}
