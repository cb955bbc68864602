//! Which etcd can be used, and which of its words can be trusted.

use std::fmt;

/// Major, minor and patch of an etcd release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32, u32);

impl Version {
    /// The oldest one that works: before it, watches know neither fragments nor requests for progress.
    pub(super) const OLDEST: Version = Version(3, 4, 0);

    /// Reads "3.5.12" or "3.6.0-rc.1".
    pub(super) fn parse(text: &str) -> Option<Self> {
        let release = text.split(['-', '+']).next()?;
        let mut parts = release.split('.').map(|part| part.parse().ok());
        Some(Version(parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?))
    }

    /// Whether the answer to a progress request waits for the events before it. Older releases answer at once, also
    /// while events are still on their way.
    pub(super) fn orders_progress(self) -> bool {
        match self {
            Version(3, 4, patch) => patch >= 25,
            Version(3, 5, patch) => patch >= 8,
            later => later > Version(3, 5, 0),
        }
    }

    /// Whether a linearizable read is one also when members are paused and leaders change at the wrong moment.
    pub(super) fn reads_are_fresh(self) -> bool {
        match self {
            Version(3, 4, patch) => patch >= 42,
            Version(3, 5, patch) => patch >= 28,
            Version(3, 6, patch) => patch >= 9,
            later => later > Version(3, 6, 0),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_ordered() {
        assert_eq!(Version::parse("3.4.23"), Some(Version(3, 4, 23)));
        assert_eq!(Version::parse("3.6.0-rc.1"), Some(Version(3, 6, 0)));
        assert_eq!(Version::parse("3.5"), Some(Version(3, 5, 0)));
        assert_eq!(Version::parse("unknown"), None);
        assert!(Version::parse("3.3.27").unwrap() < Version::OLDEST);
        assert!(Version::parse("3.10.0").unwrap() > Version::OLDEST);
    }

    #[test]
    fn progress_is_trusted_where_it_is_ordered() {
        let trusted = |text: &str| Version::parse(text).unwrap().orders_progress();
        assert!(!trusted("3.4.23") && trusted("3.4.25") && !trusted("3.5.7") && trusted("3.5.8"));
        assert!(trusted("3.6.0") && trusted("4.0.0"));
        let fresh = |text: &str| Version::parse(text).unwrap().reads_are_fresh();
        assert!(!fresh("3.4.41") && fresh("3.4.42") && !fresh("3.5.27") && fresh("3.5.28"));
        assert!(!fresh("3.6.8") && fresh("3.6.9") && fresh("3.7.0"));
    }
}
