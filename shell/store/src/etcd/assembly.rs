//! Commits out of what a watch of etcd delivers.
//!
//! Invariants: every commit comes out whole, once and in order, whatever fragments it came in and however often the
//! stream began anew; progress comes out only when nothing before it can still be on its way.

use super::boundary::Boundary;
use super::message::{DELETE, Event, NO_WATCH, WatchResponse, revision};
use crate::{Batch, KeyChange};

/// What was received and is not yet a commit.
pub(super) struct Assembly {
    /// etcd's revision up to which everything came out.
    position: i64,
    /// A commit of which more may follow in the next fragment.
    open: Option<(i64, Vec<KeyChange>)>,
}

/// Why a stream cannot be gone on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Events came in the wrong order; read again from the position they are right.
    Disorder,
    /// The offset of all revisions was changed, so nothing that is known is right any more.
    Moved,
}

impl Assembly {
    pub(super) fn new(position: i64) -> Self {
        Assembly { position, open: None }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Forgets what was received in part: the next stream delivers it again.
    pub(super) fn begin_anew(&mut self) {
        self.open = None;
    }

    /// Takes a response; `ordered` says that answers to progress requests wait for the events before them.
    pub(super) fn take(
        &mut self,
        boundary: &Boundary,
        response: WatchResponse,
        ordered: bool,
    ) -> Result<Vec<Batch>, Broken> {
        let mut out = Vec::new();
        if response.events.is_empty() {
            let trusted = response.watch_id != NO_WATCH || ordered;
            let reached = revision(response.header.as_ref());
            if trusted && !response.created && !response.fragment && self.open.is_none() && reached > self.position {
                self.position = reached;
                out.push(Batch { revision: boundary.outward(reached), changes: Vec::new() });
            }
            return Ok(out);
        }
        for event in response.events {
            self.add(boundary, event, &mut out)?;
        }
        if !response.fragment {
            self.close(boundary, &mut out);
        }
        Ok(out)
    }

    fn add(&mut self, boundary: &Boundary, event: Event, out: &mut Vec<Batch>) -> Result<(), Broken> {
        let Some(entry) = event.kv else { return Ok(()) };
        let at = entry.mod_revision;
        if at <= self.position {
            // It came out before, from this stream or an earlier one.
            return Ok(());
        }
        if boundary.is_offset(&entry.key) {
            return Err(Broken::Moved);
        }
        match &self.open {
            Some((open, _)) if at < *open => return Err(Broken::Disorder),
            Some((open, _)) if at > *open => self.close(boundary, out),
            _ => {}
        }
        let (_, changes) = self.open.get_or_insert_with(|| (at, Vec::new()));
        if let Some(key) = boundary.inner_key(entry.key) {
            let value = (event.r#type != DELETE).then(|| entry.value.into());
            changes.push(KeyChange { key, value });
        }
        Ok(())
    }

    fn close(&mut self, boundary: &Boundary, out: &mut Vec<Batch>) {
        if let Some((at, changes)) = self.open.take() {
            self.position = at;
            out.push(Batch { revision: boundary.outward(at), changes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{KeyValue, ResponseHeader};
    use super::*;

    fn put(key: &str, at: i64) -> Event {
        let kv = KeyValue { key: format!("/p{key}").into_bytes(), mod_revision: at, value: b"v".to_vec() };
        Event { r#type: 0, kv: Some(kv) }
    }

    fn events(events: Vec<Event>, fragment: bool) -> WatchResponse {
        WatchResponse { events, fragment, ..WatchResponse::default() }
    }

    fn progress(at: i64, watch_id: i64) -> WatchResponse {
        WatchResponse {
            header: Some(ResponseHeader { revision: at, ..ResponseHeader::default() }),
            watch_id,
            ..WatchResponse::default()
        }
    }

    fn shape(batches: &[Batch]) -> Vec<(u64, usize)> {
        batches.iter().map(|batch| (batch.revision, batch.changes.len())).collect()
    }

    fn take(assembly: &mut Assembly, response: WatchResponse) -> Vec<(u64, usize)> {
        shape(&assembly.take(&Boundary::new("/p"), response, true).unwrap())
    }

    #[test]
    fn a_commit_in_fragments_comes_out_whole() {
        let mut assembly = Assembly::new(4);
        assert_eq!(take(&mut assembly, events(vec![put("/a", 5), put("/a", 6)], true)), [(5, 1)]);
        // Progress in the middle of a commit would skip what is left of it.
        assert_eq!(take(&mut assembly, progress(9, 0)), []);
        assert_eq!(take(&mut assembly, events(vec![put("/b", 6)], true)), []);
        assert_eq!(take(&mut assembly, events(vec![put("/c", 6), put("/d", 8)], false)), [(6, 3), (8, 1)]);
    }

    #[test]
    fn what_comes_again_after_a_new_beginning_comes_out_once() {
        let mut assembly = Assembly::new(4);
        assert_eq!(take(&mut assembly, events(vec![put("/a", 5), put("/b", 6)], true)), [(5, 1)]);
        assembly.begin_anew();
        let again = vec![put("/z", 4), put("/a", 5), put("/b", 6), put("/c", 6)];
        assert_eq!(take(&mut assembly, events(again, false)), [(6, 2)]);
    }

    #[test]
    fn progress_is_believed_only_where_events_cannot_be_behind_it() {
        let mut assembly = Assembly::new(4);
        let boundary = Boundary::new("/p");
        assert_eq!(assembly.take(&boundary, progress(7, NO_WATCH), false), Ok(vec![]));
        assert_eq!(take(&mut assembly, events(vec![put("/a", 6)], false)), [(6, 1)]);
        assert_eq!(take(&mut assembly, progress(7, NO_WATCH)), [(7, 0)]);
        // Of a member that is behind, and of the stream's begin.
        assert_eq!(take(&mut assembly, progress(5, 0)), []);
        assert_eq!(take(&mut assembly, WatchResponse { created: true, ..progress(9, 0) }), []);
        assert_eq!(take(&mut assembly, progress(9, 0)), [(9, 0)]);
    }

    #[test]
    fn disorder_and_a_moved_offset_end_the_stream() {
        let boundary = Boundary::new("/p");
        let taken = Assembly::new(1).take(&boundary, events(vec![put("/a", 5), put("/a", 3)], false), true);
        assert_eq!(taken, Err(Broken::Disorder));
        let moved = events(vec![put("/gantry/revision-offset", 5)], false);
        assert_eq!(Assembly::new(1).take(&boundary, moved, true), Err(Broken::Moved));
        // The back end's own marks say how far the watch is, and nothing else.
        let mark = events(vec![put("/gantry/watch-mark", 5)], false);
        assert_eq!(take(&mut Assembly::new(1), mark), [(5, 0)]);
    }
}
