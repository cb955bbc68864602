//! The queues of one priority level: a flow has a hand of them, and the one that has got least goes first.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::Ticket;

/// One request that waits.
pub(super) struct Waiter {
    pub id: u64,
    pub ticket: Ticket,
    /// Told when it is its turn; nothing is told to those who are refused.
    pub turn: oneshot::Sender<()>,
}

/// One queue.
#[derive(Default)]
pub(super) struct Queue {
    pub waiters: VecDeque<Waiter>,
    /// How much this queue has been given, in seats.
    pub served: u64,
}

/// All queues of a level.
#[derive(Default)]
pub(super) struct Queues {
    pub all: Vec<Queue>,
    hand: usize,
    length: usize,
    /// What the queue that was served last had been given.
    now: u64,
}

impl Queues {
    /// Queues of these numbers, with everybody who waited before.
    pub(super) fn resize(&mut self, queues: usize, hand: usize, length: usize) {
        (self.hand, self.length) = (hand.min(queues), length);
        if queues == self.all.len() {
            return;
        }
        let waiting: Vec<Waiter> = self.all.drain(..).flat_map(|queue| queue.waiters).collect();
        self.all.resize_with(queues, Queue::default);
        for waiter in waiting {
            // Whoever has no place left is refused as his waiter goes.
            let _ = self.push(waiter);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.iter().map(|queue| queue.waiters.len()).sum()
    }

    /// Adds a request to the shortest queue of its flow's hand; gives it back when that is full.
    pub(super) fn push(&mut self, waiter: Waiter) -> Result<(), Waiter> {
        let hand = deal(waiter.ticket.hash, self.all.len(), self.hand);
        let Some(shortest) = hand.into_iter().min_by_key(|at| self.all[*at].waiters.len()) else { return Err(waiter) };
        let queue = &mut self.all[shortest];
        if queue.waiters.len() >= self.length {
            return Err(waiter);
        }
        if queue.waiters.is_empty() {
            // What it did not use while nobody waited is no credit.
            queue.served = queue.served.max(self.now);
        }
        queue.waiters.push_back(waiter);
        Ok(())
    }

    /// Who is next.
    pub(super) fn next(&self) -> Option<&Waiter> {
        self.all[self.turn()?].waiters.front()
    }

    /// Takes who is next out of its queue.
    pub(super) fn pop(&mut self) -> Option<Waiter> {
        let at = self.turn()?;
        let queue = &mut self.all[at];
        let waiter = queue.waiters.pop_front()?;
        self.now = queue.served;
        queue.served += waiter.ticket.width as u64;
        Some(waiter)
    }

    /// Takes one out who does not wait any more; whether he was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        for queue in &mut self.all {
            if let Some(at) = queue.waiters.iter().position(|waiter| waiter.id == id) {
                queue.waiters.remove(at);
                return true;
            }
        }
        false
    }

    fn turn(&self) -> Option<usize> {
        let waiting = self.all.iter().enumerate().filter(|(_, queue)| !queue.waiters.is_empty());
        waiting.min_by_key(|(_, queue)| queue.served).map(|(at, _)| at)
    }
}

/// The queues that a flow may use: `hand` different ones of `queues`, dealt by its hash.
fn deal(mut hash: u64, queues: usize, hand: usize) -> Vec<usize> {
    let mut dealt: Vec<usize> = Vec::with_capacity(hand);
    for left in (1..=queues).rev().take(hand) {
        let mut card = usize::try_from(hash % left as u64).unwrap_or(0);
        hash /= left as u64;
        let mut before = dealt.clone();
        before.sort_unstable();
        // Cards that were dealt are skipped.
        for taken in before {
            card += usize::from(taken <= card);
        }
        dealt.push(card);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn waiter(id: u64, hash: u64) -> Waiter {
        let ticket = Ticket { level: "l".into(), schema: "s".into(), flow: String::new(), hash, width: 1 };
        Waiter { id, ticket, turn: oneshot::channel().0 }
    }

    #[test]
    fn a_hand_holds_different_queues() {
        for hash in [0, 1, 12_345_678_901, u64::MAX] {
            let hand = deal(hash, 16, 6);
            assert_eq!(hand.iter().collect::<BTreeSet<_>>().len(), 6, "{hand:?}");
            assert!(hand.iter().all(|queue| *queue < 16), "{hand:?}");
        }
        assert_eq!(deal(5, 3, 9).len(), 3);
    }

    #[test]
    fn a_rush_of_one_flow_does_not_hold_up_another() {
        let mut queues = Queues::default();
        queues.resize(2, 1, 50);
        for id in 0..20 {
            assert!(queues.push(waiter(id, 0)).is_ok());
        }
        assert!(queues.push(waiter(100, 1)).is_ok());
        let order: Vec<u64> = (0..3).filter_map(|_| queues.pop()).map(|waiter| waiter.id).collect();
        assert!(order.contains(&100), "{order:?}");
    }

    #[test]
    fn queues_are_bounded_and_can_be_left() {
        let mut queues = Queues::default();
        queues.resize(1, 1, 2);
        assert!(queues.push(waiter(1, 0)).is_ok() && queues.push(waiter(2, 0)).is_ok());
        assert!(queues.push(waiter(3, 0)).is_err());
        assert!(queues.remove(1) && !queues.remove(1));
        queues.resize(4, 2, 2);
        assert_eq!((queues.len(), queues.pop().map(|waiter| waiter.id)), (1, Some(2)));
    }
}
