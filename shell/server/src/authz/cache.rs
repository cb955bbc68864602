//! What authorizers outside have said, for as long as it is good.
//!
//! Invariant: an answer is found by the whole question, and there are never more than a bounded number.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::limits::{AUTHORIZER_ANSWERS, AUTHORIZER_QUESTION_BYTES};

/// The answers of one authorizer, by the text of the question.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: BTreeMap<String, (Instant, Value)>,
    /// Questions in the order in which they were kept.
    order: VecDeque<String>,
}

impl Cache {
    /// What is still good.
    pub(super) fn find(&self, question: &str, now: Instant) -> Option<Value> {
        self.answers.get(question).filter(|(until, _)| *until > now).map(|(_, status)| status.clone())
    }

    /// Keeps an answer; the oldest makes room.
    pub(super) fn keep(&mut self, question: &str, status: &Value, now: Instant, good: Duration) {
        // Long questions come from nobody who asks twice.
        if question.len() > AUTHORIZER_QUESTION_BYTES {
            return;
        }
        if self.answers.insert(question.to_owned(), (now + good, status.clone())).is_none() {
            self.order.push_back(question.to_owned());
        }
        while self.answers.len() > AUTHORIZER_ANSWERS {
            match self.order.pop_front() {
                Some(oldest) => drop(self.answers.remove(&oldest)),
                None => self.answers.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_their_time_and_not_without_bound() {
        let (mut cache, now, minute) = (Cache::default(), Instant::now(), Duration::from_secs(60));
        cache.keep("a", &Value::Bool(true), now, minute);
        assert_eq!(cache.find("a", now + minute / 2), Some(Value::Bool(true)));
        assert_eq!(cache.find("a", now + minute), None);
        assert_eq!(cache.find("b", now), None);
        (0..AUTHORIZER_ANSWERS).for_each(|at| cache.keep(&format!("q{at}"), &Value::Null, now, minute));
        assert_eq!((cache.find("a", now), cache.answers.len()), (None, AUTHORIZER_ANSWERS));
        cache.keep(&"x".repeat(AUTHORIZER_QUESTION_BYTES + 1), &Value::Null, now, minute);
        assert_eq!(cache.answers.len(), AUTHORIZER_ANSWERS);
    }
}
