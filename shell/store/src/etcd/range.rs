//! All entries under a prefix, page by page, at one revision.

use std::sync::atomic::Ordering;

use super::Shared;
use super::failure::Failure;
use super::message::{RangeRequest, RangeResponse, revision};
use crate::limits::etcd::{FIRST_PAGE_ENTRIES, PAGE_BYTES, PAGE_ENTRIES, RANGE_ATTEMPTS};
use crate::{Entry, Range, StoreError};

const RANGE: &str = "/etcdserverpb.KV/Range";

/// One page from etcd's quorum. An answer older than what is known here is not taken: it is not the quorum's.
pub(super) async fn ask(shared: &Shared, request: &RangeRequest) -> Result<RangeResponse, Failure> {
    let known = shared.boundary.inward(shared.newest.load(Ordering::Acquire)).unwrap_or(0);
    let accept = |answer: &RangeResponse| match revision(answer.header.as_ref()) {
        reached if reached >= known => Ok(()),
        reached => Err(format!("it is at revision {reached}, and there was revision {known} already")),
    };
    shared.members.read(RANGE, request, accept).await
}

/// Reads all pages; begins anew when compaction overtakes the revision of the first one.
pub(super) async fn read(shared: &Shared, prefix: &[u8]) -> Result<Range, StoreError> {
    for _ in 0..RANGE_ATTEMPTS {
        match pages(shared, prefix).await {
            Err(Failure::Compacted) => {}
            range => return range.map_err(|failure| failure.of_read("range")),
        }
    }
    let cause = format!("{RANGE_ATTEMPTS} times the revision was compacted while it was read");
    Err(StoreError::Unavailable { operation: "range", cause })
}

async fn pages(shared: &Shared, prefix: &[u8]) -> Result<Range, Failure> {
    let boundary = &shared.boundary;
    let (key, range_end) = boundary.range(prefix);
    let mut request = RangeRequest { key, range_end, limit: limit(FIRST_PAGE_ENTRIES), ..RangeRequest::default() };
    let mut entries = Vec::new();
    loop {
        let page: RangeResponse = match ask(shared, &request).await {
            Err(Failure::Oversized) if request.limit > 1 => {
                request.limit /= 2;
                continue;
            }
            page => page?,
        };
        if request.revision == 0 {
            request.revision = revision(page.header.as_ref());
            shared.note(boundary.outward(request.revision));
        }
        request.limit = next_limit(&page);
        if let (true, Some(last)) = (page.more, page.kvs.last()) {
            request.key = [&*last.key, &[0]].concat();
        }
        entries.extend(page.kvs.into_iter().filter_map(|kv| {
            let revision = boundary.outward(kv.mod_revision);
            Some(Entry { key: boundary.inner_key(kv.key)?, value: kv.value.into(), revision })
        }));
        if !page.more {
            return Ok(Range { revision: boundary.outward(request.revision), entries });
        }
    }
}

/// As many entries as make a page of the right size, when they are like those of this page.
fn next_limit(page: &RangeResponse) -> i64 {
    let bytes: usize = page.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
    limit((page.kvs.len() * PAGE_BYTES / bytes.max(1)).clamp(1, PAGE_ENTRIES))
}

fn limit(entries: usize) -> i64 {
    i64::try_from(entries).unwrap_or(i64::MAX)
}
