//! Questions that a decision cannot answer by itself. It is pure, so it names the question and ends; whoever wanted it
//! asks outside, notes the answer, and has the same decision made anew.
//!
//! Invariants: answers are found by the whole question, so an answer is never taken for another; with the same time and
//! seed, a decision that knows more answers asks the same questions in the same order, and comes to its end.

use gantry_policy::{Question, Verdict, read_status};

use crate::admission::{AdmissionReview, EventWrite};
use crate::conversion::Conversion;

/// What somebody outside is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Objects of a custom kind in another version.
    Convert(Conversion),
    /// What webhooks say of a request, all at once.
    Admit(Vec<AdmissionReview>),
    /// Whether one more event may be written now; an error is the limit that it would break.
    EventRate(EventWrite),
    /// What an authorizer outside says; answered with the status of its review.
    Authorize(Box<Question>),
}

/// What was answered, one for each thing that was asked: an object or a response, or why there is none.
pub type Answer = Vec<Result<serde_json::Value, String>>;

/// What has been answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<(Ask, Answer)>);

impl Answers {
    /// Keeps an answer.
    pub fn note(&mut self, ask: Ask, answer: Answer) {
        self.0.push((ask, answer));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What an authorizer outside has said.
    pub fn verdict(&self, question: &Question) -> Option<Result<Verdict, String>> {
        let (_, answer) =
            self.0.iter().find(|(asked, _)| matches!(asked, Ask::Authorize(known) if **known == *question))?;
        Some(match answer.first() {
            Some(Ok(status)) => Ok(read_status(status)),
            Some(Err(error)) => Err(error.clone()),
            None => Err("there is no answer".to_owned()),
        })
    }

    /// The answer to that question.
    pub(crate) fn find(&self, ask: &Ask) -> Option<&Answer> {
        self.0.iter().find(|(asked, _)| asked == ask).map(|(_, answer)| answer)
    }
}
