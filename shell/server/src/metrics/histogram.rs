//! Counts of values by their size.

use super::text::sample;

/// A histogram with fixed bounds.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, buckets: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    /// Counts a value.
    pub(crate) fn record(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        for (bucket, bound) in self.buckets.iter_mut().zip(self.bounds) {
            *bucket += u64::from(value <= *bound);
        }
    }

    /// How many values were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Writes all samples, unless nothing was counted.
    pub(crate) fn write(&self, out: &mut String, name: &str, labels: &str) {
        if self.count == 0 {
            return;
        }
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in self.bounds.iter().zip(&self.buckets) {
            sample(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"{}\"", number(*bound)), count);
        }
        sample(out, &format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), self.count);
        sample(out, &format!("{name}_sum"), labels, self.sum);
        sample(out, &format!("{name}_count"), labels, self.count);
    }
}

/// wire: large bounds are written as Go writes them.
fn number(bound: f64) -> String {
    if bound >= 1e6 { format!("1e+{:02}", bound.log10().round()) } else { bound.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_each_bound() {
        let mut histogram = Histogram::new(&[0.5, 1.0, 1e6]);
        let mut out = String::new();
        histogram.write(&mut out, "x", "a=\"b\"");
        assert_eq!(out, "");
        histogram.record(0.7);
        histogram.write(&mut out, "x", "a=\"b\"");
        let expected = "x_bucket{a=\"b\",le=\"0.5\"} 0\nx_bucket{a=\"b\",le=\"1\"} 1\nx_bucket{a=\"b\",le=\"1e+06\"} 1\n\
            x_bucket{a=\"b\",le=\"+Inf\"} 1\nx_sum{a=\"b\"} 0.7\nx_count{a=\"b\"} 1\n";
        assert_eq!(out, expected);
    }
}
