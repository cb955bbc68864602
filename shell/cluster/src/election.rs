//! Which of several servers acts: controllers and the scheduler run on one of them only.
//!
//! Two keys outside the objects: `EPOCH` is written once by each new leader, and its revision is the leader's epoch,
//! compared by every write of his; `ALIVE` is renewed by him. A server that has not seen `ALIVE` move for the term
//! takes over, comparing both keys, so that one whose own watch is late deposes nobody. Time is measured by waiting,
//! never by a clock that can be set. A term also ends when the outcome of one of its writes is unknown: a new epoch
//! settles it, because nothing that compares the old one can happen any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use gantry_store::{Commit, KeyChange, StoreError, Txn};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::Cluster;
use crate::failpoints::failpoint;
use crate::limits::{LEADER_RENEW, LEADER_RETRY, LEADER_TERM};

/// Prefix of everything that is not an object.
const EPOCH: &[u8] = b"/gantry/leader/epoch";
const ALIVE: &[u8] = b"/gantry/leader/alive";

/// The term of one leader; a write that carries it happens only while nobody has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

impl Epoch {
    /// What a write of this leader compares.
    pub(crate) fn fence(self) -> (Bytes, u64) {
        (Bytes::from_static(EPOCH), self.0)
    }

    /// The last term that began.
    pub(crate) fn of(leadership: &Leadership) -> Self {
        Epoch(leadership.epoch)
    }

    /// Whether this key is the one that fences.
    pub(crate) fn is_fence(key: &[u8]) -> bool {
        key == EPOCH
    }

    /// The revision at which the leader took over.
    pub fn revision(self) -> u64 {
        self.0
    }
}

/// What the store says about the leader, as far as the view has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Revision of the last take-over; 0 before the first.
    pub epoch: u64,
    /// Revision of the leader's last sign of life; 0 when he resigned.
    pub alive: u64,
    /// Who took over last.
    pub identity: String,
}

impl Leadership {
    /// Takes note of a key; true when it is one of ours.
    pub(crate) fn note(&mut self, change: &KeyChange, revision: u64) -> bool {
        match &change.key[..] {
            EPOCH => {
                self.epoch = if change.value.is_some() { revision } else { 0 };
                self.identity = change.value.as_ref().map_or(String::new(), text);
            }
            ALIVE => self.alive = if change.value.is_some() { revision } else { 0 },
            _ => return false,
        }
        true
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

impl Cluster {
    /// Waits until this server leads, and until its view shows whatever earlier leaders did.
    pub async fn campaign(self: &Arc<Self>) -> Epoch {
        let mut leadership = self.leadership();
        // What has given no sign of life for a term already.
        let mut silent = None;
        loop {
            let seen = leadership.borrow_and_update().clone();
            if !self.is_vacant(&seen) && silent.as_ref() != Some(&seen) {
                if moves_within(&mut leadership, &seen, LEADER_TERM).await {
                    continue;
                }
                silent = Some(seen.clone());
            }
            match self.take_over(&seen).await {
                Ok(Commit::Done(epoch)) => {
                    if self.wait_for(epoch).await.is_ok() && leadership.borrow().epoch == epoch {
                        tracing::info!(epoch, identity = self.identity(), "this server leads");
                        self.leading.store(true, Ordering::Relaxed);
                        return Epoch(epoch);
                    }
                }
                Ok(Commit::Conflict { revision, .. }) => {
                    // Somebody moved and this server has not read it yet.
                    let _ = self.wait_for(revision).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the leadership could not be taken");
                    sleep(LEADER_RETRY).await;
                }
            }
        }
    }

    /// Whether nobody is deposed by taking over: nobody else can be there, the last leader has said that he goes, or
    /// it was this server itself (in a term that ended, or by an attempt whose answer was lost).
    fn is_vacant(&self, seen: &Leadership) -> bool {
        !self.store().shared() || seen.alive == 0 || seen.identity == self.identity()
    }

    /// Renews the leadership and returns once it is lost: taken by another, not confirmed for a term, not seen by
    /// this server's own view, or in doubt because the outcome of a write is unknown. Whatever was under way can
    /// happen no more once the next epoch has begun, and the next leader's view shows what did.
    pub async fn lead(self: &Arc<Self>, epoch: Epoch) {
        let (mut leadership, mut doubts) = (self.leadership(), self.doubts());
        let ended = async {
            let taken = leadership.wait_for(|now| now.epoch > epoch.0);
            let doubted = doubts.wait_for(|doubted| *doubted >= epoch.0);
            tokio::select! { biased; _ = taken => {}, _ = doubted => {} }
        };
        if self.store().shared() {
            tokio::select! { biased; () = ended => {}, () = self.keep_renewing(epoch) => {} }
        } else {
            ended.await;
        }
        self.leading.store(false, Ordering::Relaxed);
        tracing::warn!(epoch = epoch.0, "this server no longer leads");
    }

    /// Gives signs of life until one is refused, or none is confirmed for a term since it was sent.
    async fn keep_renewing(&self, epoch: Epoch) {
        let mut confirmed = Instant::now();
        while confirmed.elapsed() < LEADER_TERM {
            sleep(LEADER_RENEW).await;
            let sent = Instant::now();
            let renewed = async {
                let commit = self.say_alive(epoch, true).await?;
                // A leader that does not hear of himself decides on old news.
                if let Commit::Done(at) = commit
                    && self.wait_for(at).await.is_err()
                {
                    return Ok(false);
                }
                Ok::<_, StoreError>(matches!(commit, Commit::Done(_)))
            };
            match timeout_at(confirmed + LEADER_TERM, renewed).await {
                Ok(Ok(true)) => confirmed = sent,
                Ok(Err(error)) => tracing::warn!(%error, "the leadership could not be renewed"),
                Ok(Ok(false)) | Err(_) => return,
            }
        }
    }

    /// Whether this server leads, as far as it knows itself: it stops a term after it was last confirmed.
    pub fn leads(&self) -> bool {
        self.leading.load(Ordering::Relaxed)
    }

    /// Lets another server take over at once.
    pub async fn resign(&self, epoch: Epoch) {
        self.leading.store(false, Ordering::Relaxed);
        match timeout(LEADER_TERM, self.say_alive(epoch, false)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the leadership could not be given up; it ends by itself"),
            Err(_) => tracing::debug!("the store did not answer; the leadership ends by itself"),
        }
    }

    async fn take_over(&self, seen: &Leadership) -> Result<Commit, StoreError> {
        let (epoch, alive) = (Bytes::from_static(EPOCH), Bytes::from_static(ALIVE));
        let identity = Bytes::from(self.identity().to_owned());
        let txn = Txn {
            compare: vec![(epoch.clone(), seen.epoch), (alive.clone(), seen.alive)],
            writes: vec![(epoch, Some(identity.clone())), (alive, Some(identity))],
            durable: true,
        };
        failpoint!("cluster::before_take_over");
        let answer = timeout(LEADER_TERM, self.store().commit(txn)).await;
        failpoint!("cluster::after_take_over");
        let lost = || StoreError::Unknown { operation: "take the lead", cause: "no answer within a term".to_owned() };
        answer.unwrap_or_else(|_| Err(lost()))
    }

    async fn say_alive(&self, epoch: Epoch, alive: bool) -> Result<Commit, StoreError> {
        let value = alive.then(|| Bytes::from(self.identity().to_owned()));
        let writes = vec![(Bytes::from_static(ALIVE), value)];
        self.store().commit(Txn { compare: vec![epoch.fence()], writes, durable: false }).await
    }
}

/// Whether the leader gives a sign of life, or another takes over, within `term`.
async fn moves_within(
    leadership: &mut tokio::sync::watch::Receiver<Leadership>,
    seen: &Leadership,
    term: Duration,
) -> bool {
    matches!(timeout(term, leadership.wait_for(|now| now != seen)).await, Ok(Ok(_)))
}
