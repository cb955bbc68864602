//! Known flaws of what containers run on: whether runc has their fixes, and whether the kernel's settings open a way that
//! the node's rules have to close.
//!
//! Invariants: a distribution's package is told by its own level, as fixes are put into old versions there.

use std::process::Command;

use super::Finding;

/// Numbers of a version.
type Release = [u64; 3];

/// A flaw of runc, and who has its fix.
struct Flaw {
    what: &'static str,
    /// The first fixed version of each series of upstream's that got it; later series have it.
    fixed: &'static [Release],
    /// The first fixed revision of a version by a release of Debian: the version, the release's name in revisions, the number.
    debian: &'static [(Release, &'static str, u64)],
}

const FLAWS: [Flaw; 2] = [
    Flaw {
        what: "CVE-2024-21626: an image or exec can get hold of the machine's files",
        fixed: &[[1, 1, 12]],
        debian: &[([1, 1, 5], "deb12u", 1)],
    },
    Flaw {
        what: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: masked paths and consoles can be exchanged for the \
               machine's files",
        fixed: &[[1, 2, 8], [1, 3, 3]],
        debian: &[],
    },
];

impl Flaw {
    fn is_fixed(&self, release: Release, revision: &str) -> bool {
        let of_series = self.fixed.iter().find(|fixed| fixed[..2] == release[..2]);
        let upstream = match of_series {
            Some(fixed) => release >= *fixed,
            None => self.fixed.iter().all(|fixed| release > *fixed),
        };
        let patched = |(version, name, least): &(Release, &str, u64)| {
            let number = revision.split_once(name).map(|(_, rest)| leading(rest));
            *version == release && number.is_some_and(|number| number >= *least)
        };
        upstream || self.debian.iter().any(patched)
    }
}

/// The number that a text begins with.
fn leading(text: &str) -> u64 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// Numbers and the whole of a version such as `1.1.5+ds1-1+deb12u1`.
fn version(text: &str) -> Option<(Release, &str)> {
    let mut words = text.lines().next()?.split_whitespace();
    let plain = (words.next() == Some("runc") && words.next() == Some("version")).then(|| words.next())??;
    // Debian's builds name the whole version of the package where others name the commit.
    let commit = text.lines().find_map(|line| line.strip_prefix("commit: ")).unwrap_or_default().trim();
    let whole = if commit.starts_with(plain) { commit } else { plain };
    let mut numbers = plain.split('.').map(leading);
    Some(([numbers.next()?, numbers.next()?, numbers.next()?], whole))
}

/// What `runc --version` says of its flaws.
fn judge(text: &str) -> Finding {
    const NAME: &str = "runc";
    let Some((release, whole)) = version(text) else {
        return Finding::warn(NAME, "it does not tell its version, so its flaws are not known", "runc --version");
    };
    let open: Vec<&str> = FLAWS.iter().filter(|flaw| !flaw.is_fixed(release, whole)).map(|flaw| flaw.what).collect();
    if open.is_empty() {
        return Finding::ok(NAME, format!("{whole} has the fixes of all flaws that are known here"));
    }
    let help = "apt-get update && apt-get install --only-upgrade runc; or put a newer release of runc in its place";
    Finding::warn(NAME, format!("{whole} is open to {}", open.join("; ")), help)
}

/// Findings about flaws.
pub fn findings() -> Vec<Finding> {
    vec![runc(), forwarding()]
}

fn runc() -> Finding {
    match Command::new("runc").arg("--version").output() {
        Ok(output) => judge(&String::from_utf8_lossy(&output.stdout)),
        Err(error) => Finding::warn("runc", format!("it cannot be run: {error}"), "apt-get install runc"),
    }
}

/// Services need forwarding, and node ports on 127.0.0.1 need its packets routed; the node's rules keep neighbours out.
fn forwarding() -> Finding {
    let set = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    let (forward, local) = (set("/proc/sys/net/ipv4/ip_forward"), set("/proc/sys/net/ipv4/conf/all/route_localnet"));
    let rules = Command::new("nft").args(["list", "chain", "ip", "gantry", "martians"]).output();
    let closed = rules.is_ok_and(|output| output.status.success());
    judge_forwarding(forward, local, closed)
}

fn judge_forwarding(forward: bool, local: bool, closed: bool) -> Finding {
    const NAME: &str = "forwarding";
    match (local, closed) {
        (true, false) => Finding::warn(
            NAME,
            "net.ipv4.conf.all.route_localnet is on and no rule keeps neighbours from what listens on 127.0.0.1",
            "sysctl -w net.ipv4.conf.all.route_localnet=0, unless gantry is about to be started",
        ),
        (_, true) if !forward => Finding::fail(
            NAME,
            "net.ipv4.ip_forward was switched off: pods reach nobody, and nobody reaches them",
            "sysctl -w net.ipv4.ip_forward=1",
        ),
        (_, true) => Finding::ok(NAME, "on, and 127.0.0.1 is closed to neighbours"),
        (false, false) => Finding::ok(NAME, "as it was: no node has been started"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_version_is_judged_by_its_distributions_level() {
        let said =
            |version: &str, commit: &str| judge(&format!("runc version {version}\ncommit: {commit}\nspec: 1.0.2\n"));
        let check = |version: &str, commit: &str, open: &[&str]| {
            let found = said(version, commit);
            assert_eq!(found.state == State::Ok, open.is_empty(), "{version}: {}", found.message);
            for flaw in ["CVE-2024-21626", "CVE-2025-31133"] {
                assert_eq!(found.message.contains(flaw), open.contains(&flaw), "{version}: {}", found.message);
            }
        };
        let both = ["CVE-2024-21626", "CVE-2025-31133"];
        check("1.1.5+ds1", "1.1.5+ds1-1", &both);
        check("1.1.5+ds1", "1.1.5+ds1-1+deb12u1", &both[1..]);
        check("1.1.5", "v1.1.5-0-gf19387a6", &both);
        check("1.1.11", "v1.1.11-0-g4bccb38c", &both);
        check("1.1.12", "v1.1.12-0-g51d5e94", &both[1..]);
        check("1.2.7", "v1.2.7-0-g1", &both[1..]);
        check("1.2.8", "v1.2.8-0-g1", &[]);
        check("1.3.2", "v1.3.2-0-g1", &both[1..]);
        check("1.3.10", "v1.3.10-0-g1", &[]);
        check("1.4.0", "v1.4.0-0-g1", &[]);
        assert_eq!(judge("crun version 1.8").state, State::Warn);
    }

    #[test]
    fn open_loopback_is_told() {
        assert_eq!(judge_forwarding(true, true, false).state, State::Warn);
        assert_eq!(judge_forwarding(true, true, true).state, State::Ok);
        assert_eq!(judge_forwarding(false, true, true).state, State::Fail);
        assert_eq!(judge_forwarding(false, false, false).state, State::Ok);
    }
}
