//! GOAWAY by chance: a client of HTTP/2 keeps one connection for ever, and so one server behind a load balancer. Now
//! and then one is asked to leave; what it has under way on the connection goes on to its end.

use http::Version;

/// How often clients are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Farewell {
    chance: f64,
}

impl Farewell {
    /// After that part of requests.
    pub(crate) fn new(chance: f64) -> Self {
        Farewell { chance }
    }

    /// Whether the connection of this request is to end, as the random bits have it.
    pub(crate) fn is_due(self, version: Version, random: u64) -> bool {
        version == Version::HTTP_2 && fraction(random) < self.chance
    }
}

/// From 0 up to, but not, 1.
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_requests_over_http2_is_the_last_of_its_connection() {
        let due = |chance: f64, version: Version| {
            let random = (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            random.filter(|random| Farewell::new(chance).is_due(version, *random)).count()
        };
        assert_eq!((due(0.0, Version::HTTP_2), due(1.0, Version::HTTP_2), due(1.0, Version::HTTP_11)), (0, 10_000, 0));
        assert!((150..250).contains(&due(0.02, Version::HTTP_2)));
    }
}
