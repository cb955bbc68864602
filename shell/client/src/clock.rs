//! This machine's clock beside the server's, as its answers tell it.

use http::HeaderMap;
use http::header::DATE;
use jiff::{SignedDuration, Timestamp};

use crate::limits::CLOCK_TOLERANCE;

/// How far this machine's clock is from the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew(SignedDuration);

impl Skew {
    /// What an answer that came at `now` tells; `None` where it tells nothing.
    pub(crate) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Skew> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let told = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(Skew(now.duration_since(told)))
    }

    /// Whether it is worth a word.
    pub fn matters(&self) -> bool {
        self.0.unsigned_abs() > CLOCK_TOLERANCE
    }

    /// Whole minutes, rounded; negative where this machine is behind.
    pub fn minutes(&self) -> i64 {
        let half = if self.0.is_negative() { -30 } else { 30 };
        (self.0.as_secs() + half) / 60
    }
}

impl std::fmt::Display for Skew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let side = if self.0.is_negative() { "behind" } else { "ahead of" };
        write!(f, "this machine's clock is {} min {side} the server's", self.minutes().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn answers_tell_the_time() {
        let check = |now: &str, minutes: i64, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
            let skew = Skew::read(&headers, now.parse().unwrap()).unwrap();
            assert_eq!((skew.minutes(), skew.to_string().as_str()), (minutes, text));
            skew.matters()
        };
        assert!(check("1994-11-06T07:48:40Z", -61, "this machine's clock is 61 min behind the server's"));
        assert!(check("1994-11-06T09:49:37Z", 60, "this machine's clock is 60 min ahead of the server's"));
        assert!(!check("1994-11-06T08:49:40Z", 0, "this machine's clock is 0 min ahead of the server's"));
        assert_eq!(Skew::read(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }
}
