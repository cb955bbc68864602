//! Figures of one measurement, and how they are told.

use std::fmt;

use serde_json::{Value, json};

/// The samples of one row.
pub struct Samples {
    unit: &'static str,
    values: Vec<f64>,
}

impl Samples {
    /// No samples yet.
    pub fn new(unit: &'static str) -> Self {
        Samples { unit, values: Vec::new() }
    }
    /// Adds a sample.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    /// All samples with their median.
    pub fn json(&self) -> Value {
        json!({"unit": self.unit, "median": self.quantile(0.5), "p95": self.quantile(0.95), "samples": self.values})
    }
    /// The sample in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
    /// The sample that a share of all does not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        // Rounded to the nearest rank; the counts here are small.
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, low, high) = (self.quantile(0.5), self.quantile(0.0), self.quantile(1.0));
        write!(f, "median {median:8.1} {} (min {low:.1}, max {high:.1}, n {})", self.unit, self.values.len())
    }
}
