//! Many callers, one question: whoever asks while a question is on its way shares the next one.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::StoreError;

/// Rounds of asking; an answer counts only for those who came before its round began.
pub(super) struct Rounds<T> {
    /// The number of the round that began last.
    begun: AtomicU64,
    /// The last round that ended, and its answer. Held while a round is on its way.
    ended: Mutex<Option<(u64, Result<T, StoreError>)>>,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Rounds { begun: AtomicU64::new(0), ended: Mutex::new(None) }
    }
}

impl<T: Clone> Rounds<T> {
    /// An answer that was asked for after this was called, by this caller or by another.
    pub(super) async fn ask(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let came = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.lock().await;
        if let Some((round, answer)) = &*ended
            && *round > came
        {
            return answer.clone();
        }
        let round = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = question.await;
        *ended = Some((round, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_share_a_round_that_began_after_they_came() {
        let (rounds, asked) = (Arc::new(Rounds::default()), Arc::new(AtomicU64::new(0)));
        let gate = Arc::new(Semaphore::new(0));
        let ask = || {
            let (rounds, asked, gate) = (rounds.clone(), asked.clone(), gate.clone());
            tokio::spawn(async move {
                let question = async {
                    let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.acquire().await.unwrap().forget();
                    Ok(number)
                };
                rounds.ask(question).await
            })
        };
        let first = ask();
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // These come while the first round is on its way, so its answer is too old for them; one more serves all.
        let others: Vec<_> = (0..20).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(1));
        for other in others {
            assert_eq!(other.await.unwrap(), Ok(2));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
