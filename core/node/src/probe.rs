//! Probes: when the next one is due, and what a result changes.
//!
//! A startup or readiness probe is tried as soon as it may be, soon again, and then less and less often until its first
//! period is over: such an early try can only succeed, its failure counts for nothing. A liveness probe has time to lose.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use crate::action::Notice;

/// The first wait between early tries; each further one is twice as long.
const EARLY: Duration = Duration::from_millis(40);
/// How many doublings there are at most.
const EARLY_DOUBLINGS: u32 = 10;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether the container has come up.
    Startup,
    /// Whether it lives.
    Liveness,
    /// Whether it can serve.
    Readiness,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Success,
    /// All is not well: what was found.
    Failure(String),
    /// The probe itself went wrong; nothing was found.
    Errored(String),
}

/// The probes of one container.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    id: String,
    startup: Track,
    liveness: Track,
    readiness: Track,
}

#[derive(Clone, Debug, Default)]
struct Track {
    /// `None` until thresholds are met for the first time.
    passed: Option<bool>,
    last: Option<bool>,
    streak: i32,
    /// When the next try is due: the regular one, or an early one before it.
    next: Option<Timestamp>,
    regular: Option<Timestamp>,
    regular_tries: u32,
    early_tries: u32,
}

/// When a probe is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// Then.
    At(Timestamp),
}

impl Kind {
    /// As messages begin.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        }
    }
    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Kind::Startup => container.startup_probe.as_ref(),
            Kind::Liveness => container.liveness_probe.as_ref(),
            Kind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

fn seconds(value: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(u64::try_from(value.unwrap_or(default)).unwrap_or(0))
}

fn period(probe: &Probe) -> Duration {
    seconds(probe.period_seconds, 10).max(Duration::from_secs(1))
}

/// How long one try may take.
pub fn timeout(probe: &Probe) -> Duration {
    seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1))
}

impl Probes {
    /// Takes over what was last reported of a container that runs.
    pub(crate) fn adopt(&mut self, id: &str, ready: bool, started: bool) {
        self.track(id);
        self.startup.passed = started.then_some(true);
        self.readiness.passed = Some(ready);
        self.readiness.last = Some(ready);
    }

    fn track(&mut self, id: &str) {
        if self.id != id {
            *self = Probes { id: id.to_owned(), ..Probes::default() };
        }
    }

    fn of(&mut self, kind: Kind) -> &mut Track {
        match kind {
            Kind::Startup => &mut self.startup,
            Kind::Liveness => &mut self.liveness,
            Kind::Readiness => &mut self.readiness,
        }
    }

    /// Whether the container with this id has come up.
    pub(crate) fn started(&self, id: &str, container: &Container) -> bool {
        container.startup_probe.is_none() || (self.id == id && self.startup.passed == Some(true))
    }
    /// Whether it can serve, as far as its probe says.
    pub(crate) fn ready(&self, id: &str, container: &Container) -> bool {
        container.readiness_probe.is_none() || (self.id == id && self.readiness.passed == Some(true))
    }
    /// The probe for which the container must be killed.
    pub(crate) fn fatal(&self, id: &str) -> Option<Kind> {
        if self.id != id {
            return None;
        }
        let failed = |track: &Track| track.passed == Some(false);
        failed(&self.startup).then_some(Kind::Startup).or_else(|| failed(&self.liveness).then_some(Kind::Liveness))
    }

    /// The kinds to be asked of a container that runs since `since`, each with its time.
    pub(crate) fn due(
        &mut self,
        id: &str,
        container: &Container,
        since: Timestamp,
        now: Timestamp,
    ) -> Vec<(Kind, Due)> {
        self.track(id);
        let kinds: &[Kind] =
            if self.started(id, container) { &[Kind::Liveness, Kind::Readiness] } else { &[Kind::Startup] };
        let mut due = Vec::new();
        for kind in kinds {
            let Some(probe) = kind.of(container) else { continue };
            let track = self.of(*kind);
            let next = track.begin(probe, *kind, since);
            due.push((*kind, if next <= now { Due::Now } else { Due::At(next) }));
        }
        due
    }

    /// Takes note of a result; the notice is for people.
    pub(crate) fn record(
        &mut self,
        id: &str,
        kind: Kind,
        container: &Container,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<Notice> {
        let probe = kind.of(container)?;
        if self.id != id {
            return None;
        }
        let track = self.of(kind);
        let counted = track.next == track.regular;
        let success = matches!(outcome, Outcome::Success);
        if success || (counted && matches!(outcome, Outcome::Failure(_))) {
            track.judge(success, probe, kind);
        }
        track.plan(probe, kind, counted, now);
        let title = kind.title();
        match outcome {
            Outcome::Failure(why) if counted => {
                Some(Notice::warning("Unhealthy", Some(&container.name), format!("{title} probe failed: {why}")))
            }
            Outcome::Errored(why) if counted => {
                let state = if track.passed == Some(true) { "Success" } else { "Unknown" };
                let message = format!("{title} probe errored and resulted in {state} state: {why}");
                Some(Notice::warning("Unhealthy", Some(&container.name), message))
            }
            _ => None,
        }
    }
}

impl Track {
    /// When the next try is due; sets the first one.
    fn begin(&mut self, probe: &Probe, kind: Kind, since: Timestamp) -> Timestamp {
        let delay = seconds(probe.initial_delay_seconds, 0);
        let first = since + delay;
        let late = kind != Kind::Liveness || delay.is_zero();
        let regular = *self.regular.get_or_insert(if late { first + period(probe) } else { first });
        *self.next.get_or_insert(if kind == Kind::Liveness { regular } else { first })
    }

    fn judge(&mut self, success: bool, probe: &Probe, kind: Kind) {
        self.streak = if self.last == Some(success) { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold =
            if success { probe.success_threshold.unwrap_or(1) } else { probe.failure_threshold.unwrap_or(3) };
        // A readiness probe that has never passed has nothing to lose: not ready is where it began.
        if self.streak >= threshold && (success || kind != Kind::Readiness || self.passed.is_some()) {
            self.passed = Some(success);
        }
    }

    /// Sets the time of the next try.
    fn plan(&mut self, probe: &Probe, kind: Kind, counted: bool, now: Timestamp) {
        let mut regular = self.regular.unwrap_or(now);
        if counted {
            self.regular_tries = self.regular_tries.saturating_add(1);
            regular += period(probe);
            if regular <= now {
                regular = now + period(probe);
            }
        }
        self.regular = Some(regular);
        let may_try_early = kind != Kind::Liveness
            && self.regular_tries == 0
            && self.last != Some(true)
            && probe.exec.is_none()
            && self.early_tries < EARLY_DOUBLINGS;
        let soon = now + EARLY * (1 << self.early_tries.min(EARLY_DOUBLINGS));
        let early = may_try_early && soon < regular;
        self.early_tries += u32::from(early);
        self.next = Some(if early { soon } else { regular });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    /// Runs a probe of a container started at 0 through its tries: when they were, and what came of each.
    fn run(kind: Kind, probe: Value, outcomes: &[bool]) -> Vec<(i64, Option<bool>, bool)> {
        let field = format!("{}Probe", kind.title().to_lowercase());
        let container: Container = serde_json::from_value(json!({"name": "a", field: probe})).unwrap();
        let (mut probes, mut now, mut tries) = (Probes::default(), at(0), Vec::new());
        for success in outcomes {
            for (_, due) in probes.due("1", &container, at(0), now) {
                if let Due::At(then) = due {
                    now = then;
                }
            }
            let outcome = if *success { Outcome::Success } else { Outcome::Failure("no".to_owned()) };
            let notice = probes.record("1", kind, &container, &outcome, now);
            tries.push((now.as_millisecond(), probes.of(kind).passed, notice.is_some()));
        }
        tries
    }

    #[test]
    fn readiness_is_tried_early_until_it_passes_once() {
        let probe = json!({"tcpSocket": {"port": 1}, "periodSeconds": 1, "initialDelaySeconds": 2});
        let tries = run(Kind::Readiness, probe, &[false, false, false, true, false, false, false]);
        let expected = [
            (2000, None, false),
            (2040, None, false),
            (2120, None, false),
            (2280, Some(true), false),
            (3000, Some(true), true),
            (4000, Some(true), true),
            (5000, Some(false), true),
        ];
        assert_eq!(tries, expected);
    }

    #[test]
    fn early_tries_of_a_startup_probe_do_not_count() {
        let probe = json!({"httpGet": {"port": 1}, "periodSeconds": 1, "failureThreshold": 2});
        let tries = run(Kind::Startup, probe, &[false; 7]);
        let failed: Vec<_> = tries.iter().map(|(at, passed, _)| (*at, *passed)).collect();
        let expected = [0, 40, 120, 280, 600, 1000].map(|at| (at, None));
        let expected = [&expected[..], &[(2000, Some(false))]].concat();
        assert_eq!(failed, expected);
    }

    #[test]
    fn liveness_is_fatal_at_its_threshold() {
        let probe = json!({"exec": {"command": ["x"]}, "periodSeconds": 5, "failureThreshold": 2});
        let tries = run(Kind::Liveness, probe, &[true, false, true, false, false]);
        assert_eq!(tries.last(), Some(&(25_000, Some(false), true)));
        assert_eq!(tries[3].1, Some(true));
    }

    #[test]
    fn an_adopted_container_keeps_its_readiness_until_the_probe_says_otherwise() {
        let probe = json!({"tcpSocket": {"port": 1}, "failureThreshold": 1});
        let container: Container = serde_json::from_value(json!({"name": "a", "readinessProbe": probe})).unwrap();
        let mut probes = Probes::default();
        probes.adopt("1", true, true);
        assert!(probes.ready("1", &container));
        assert_eq!(probes.due("1", &container, at(0), at(9_000)), [(Kind::Readiness, Due::Now)]);
        for (now, ready) in [(10_000, true), (10_001, false)] {
            probes.due("1", &container, at(0), at(now));
            probes.record("1", Kind::Readiness, &container, &Outcome::Failure(String::new()), at(now));
            assert_eq!(probes.ready("1", &container), ready, "the regular try counts");
        }
        assert!(!probes.ready("2", &container));
    }
}
