//! Named points of the wiring, and how a test arms the points of all crates: `GANTRY_FAILPOINTS` holds entries
//! `NAME=ACTION` or `NAME=ACTION@N`, separated by `;`. An action happens at the N-th visit alone, or at every one:
//! `kill` ends this process by SIGKILL, `return` or `return(TEXT)` takes the point's own way out, `delay(MS)` pauses.
//!
//! Without the feature `failpoints` they cost nothing and nothing of them is in the binary.

#[cfg(feature = "failpoints")]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "failpoints")]
use anyhow::{Context, Result, anyhow, bail};

/// The points of this crate.
#[cfg(feature = "failpoints")]
const OWN: &[&str] = &[
    "gantry::before_file",
    "gantry::file_before_sync",
    "gantry::file_before_rename",
    "gantry::after_file",
    "gantry::before_store",
    "gantry::before_first_object",
    "gantry::after_first_object",
    "gantry::after_first_objects",
    "gantry::between_kubeconfigs",
    "gantry::before_close",
];

/// Points that change how often something happens, with `return(MS)`, or how large something is, with `return`.
#[cfg(feature = "failpoints")]
const SETTINGS: &[&str] = &["cluster::compact_every", "server::bookmark_every", "gantry::small_store"];

/// Where tests say what is to happen.
#[cfg(feature = "failpoints")]
const VARIABLE: &str = "GANTRY_FAILPOINTS";

/// Stops here when a test asks for it.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
    ($name:literal, $result:expr) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name, $result);
    };
}
pub(crate) use failpoint;

/// The points of all crates.
#[cfg(feature = "failpoints")]
pub fn all() -> impl Iterator<Item = &'static str> {
    let crates = [
        gantry_store::FAILPOINTS,
        gantry_cluster::FAILPOINTS,
        gantry_server::FAILPOINTS,
        gantry_runner::FAILPOINTS,
        gantry_agent::FAILPOINTS,
        OWN,
    ];
    crates.into_iter().flatten().copied()
}

/// Arms what the environment asks for.
#[cfg(feature = "failpoints")]
pub fn arm_from_environment() -> Result<()> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let entries = text.split(';').filter(|entry| !entry.trim().is_empty());
    entries.into_iter().try_for_each(|entry| arm(entry.trim()).with_context(|| format!("{VARIABLE}: {entry:?}")))
}

#[cfg(feature = "failpoints")]
fn arm(entry: &str) -> Result<()> {
    let (name, rest) = entry.split_once('=').context("it is not NAME=ACTION")?;
    let (action, visit) = match rest.rsplit_once('@') {
        Some((action, visit)) => (action, Some(visit.parse::<u64>().context("the visit is not a number")?)),
        None => (rest, None),
    };
    if visit == Some(0) || !all().chain(SETTINGS.iter().copied()).any(|known| known == name) {
        bail!("there is no such point, or no such visit");
    }
    if action == "kill" {
        let (visit, visits) = (visit.unwrap_or(1), AtomicU64::new(0));
        let kill = move || {
            if visits.fetch_add(1, Ordering::SeqCst) + 1 == visit {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
            }
        };
        return fail::cfg_callback(name, kill).map_err(|error| anyhow!(error));
    }
    // `delay` of the library burns the processor instead of waiting.
    let action = action.replacen("delay(", "sleep(", 1);
    let action = match visit {
        None => action,
        Some(1) => format!("1*{action}->off"),
        Some(visit) => format!("{}*off->1*{action}->off", visit - 1),
    };
    fail::cfg(name, &action).map_err(|error| anyhow!(error))
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn an_action_happens_at_its_visit_alone() {
        arm("store::sync_error=return@3").unwrap();
        let visits = (0..5).map(|_| fail::eval("store::sync_error", |_| ()).is_some());
        assert_eq!(visits.collect::<Vec<_>>(), [false, false, true, false, false]);
        arm("cluster::compact_every=return(100)").unwrap();
        assert_eq!(fail::eval("cluster::compact_every", |given| given), Some(Some("100".to_owned())));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for entry in ["nothing", "made::up=kill@1", "store::sync_error=return@0", "store::sync_error=return@x"] {
            assert!(arm(entry).is_err(), "{entry}");
        }
    }
}
