//! Lists in the binary form. Their length stands before them, so that every item is encoded twice: once to know how
//! long it is, once to be sent. What is kept meanwhile is one number.

use std::sync::Arc;

use gantry_schema::{Schema, protobuf};
use gantry_view::Object;
use serde_json::Value;

use super::list::stream_out;
use super::shape::Renderer;
use crate::binary;
use crate::limits::{GZIP_FROM, ITEMS_MEASURED, PIECE_BYTES};
use crate::negotiate::{Accepted, Shape};
use crate::respond::Answer;

/// Answers with a list of objects, or of their metadata.
pub(super) async fn answer(
    renderer: Renderer,
    metadata: &Value,
    objects: Vec<Arc<Object>>,
    accepted: &Accepted,
) -> Answer {
    let only_metadata = renderer.shape != Shape::Whole;
    let kind = renderer.kind;
    let metadata = protobuf::list_metadata(Schema::builtin(), metadata);
    let mut length = metadata.len();
    for (at, object) in objects.iter().enumerate() {
        length += protobuf::list_item_length(binary::item(kind, only_metadata, object.json()).len());
        if at % ITEMS_MEASURED == ITEMS_MEASURED - 1 {
            tokio::task::yield_now().await;
        }
    }
    let mut head = if only_metadata {
        protobuf::envelope_head("meta.k8s.io/v1", "PartialObjectMetadataList", length)
    } else {
        protobuf::envelope_head(&kind.api_version(), &format!("{}List", kind.kind), length)
    };
    head.extend_from_slice(&metadata);
    let mut objects = objects.into_iter();
    let (mut head, mut open) = (Some(head), true);
    let pieces = std::iter::from_fn(move || {
        let mut out = head.take().unwrap_or_default();
        while open && out.len() < PIECE_BYTES {
            match objects.next() {
                Some(object) => protobuf::list_item(&binary::item(kind, only_metadata, object.json()), &mut out),
                None => {
                    out.extend_from_slice(protobuf::ENVELOPE_TAIL);
                    open = false;
                }
            }
        }
        (!out.is_empty()).then_some(out)
    });
    stream_out(binary::MEDIA_TYPE, pieces, accepted.gzip && length >= GZIP_FROM)
}
