//! LIST: a page of objects, written piece by piece.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use gantry_kinds::{KindRef, Status};
use gantry_view::Object;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::binary_list;
use super::options::{ListOptions, Match};
use super::page::{Page, collect};
use super::reach;
use super::shape::Renderer;
use super::token::Token;
use crate::Refusal;
use crate::app::{App, Call};
use crate::limits::{GZIP_FROM, PIECE_BYTES};
use crate::negotiate::{Accepted, Format, Offer, Shape, accept};
use crate::respond::{self, Answer, BodyError};

/// Answers LIST.
pub(crate) async fn list(app: &App, call: &Call, kind: KindRef) -> Result<Answer, Refusal> {
    let accepted = accept(&call.headers, &call.query, Offer::list(kind))?;
    let options = ListOptions::read(kind, &call.asked, &call.query)?;
    let revision = options.revision()?;
    if accepted.shape == Shape::Metadata {
        let object = format!("*{}.{}List", package_of(kind), kind.kind);
        let text = format!("you requested PartialObjectMetadata, but the requested object is a list ({object})");
        return Err(Box::new(Status::new(406, "NotAcceptable", text)));
    }
    let exact = revision.filter(|_| options.matching == Match::Exact);
    // A page goes on at the revision of the first one, which another server may have shown.
    reach(&app.cluster, options.token.as_ref().map_or(revision, |token| token.revision)).await?;
    let namespace = call.list_namespace(kind);
    match collect(app, kind, namespace, &options, exact).await {
        Ok(page) => show(call, kind, page, &accepted).await,
        Err(Some(refusal)) => Err(refusal),
        Err(None) => Ok(too_old(app, &options, &accepted)),
    }
}

/// wire: the package inside the upstream server that holds a kind, which some refusals tell.
pub(crate) fn package_of(kind: KindRef) -> &'static str {
    match kind.group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or_default(),
    }
}

/// Writes a page in the shape that the client accepts.
pub(crate) async fn show(call: &Call, kind: KindRef, page: Page, accepted: &Accepted) -> Result<Answer, Refusal> {
    let renderer = Renderer::new(kind, accepted.shape, &call.query, Timestamp::now())?;
    let size: usize = page.objects.iter().map(|object| object.json().len()).sum();
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if let Some(next) = &page.next {
        metadata["continue"] = Value::from(next.encode());
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = Value::from(remaining);
    }
    if accepted.format == Format::Protobuf {
        return Ok(binary_list::answer(renderer, &metadata, page.objects, accepted).await);
    }
    let mut head = Vec::with_capacity(size.min(PIECE_BYTES) + 256);
    renderer.open(&metadata, true, &mut head);
    let pieces = Pieces { head: Some(head), objects: page.objects.into_iter(), first: true, renderer, closed: false };
    if accepted.pretty || accepted.format == Format::Yaml || size < PIECE_BYTES {
        let whole: Vec<u8> = pieces.flatten().collect();
        return Ok(respond::raw(200, Bytes::from(whole), accepted));
    }
    Ok(stream_out("application/json", pieces, accepted.gzip && size >= GZIP_FROM))
}

/// An answer that is written piece by piece.
pub(super) fn stream_out(
    media_type: &'static str,
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
    gzip: bool,
) -> Answer {
    let mut answer = respond::bytes(200, media_type, "");
    let frame =
        |piece: std::io::Result<Vec<u8>>| piece.map(|bytes| Frame::data(Bytes::from(bytes))).map_err(BodyError::from);
    *answer.body_mut() = if gzip {
        let mut packer = Packer { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) };
        StreamBody::new(stream::iter(std::iter::from_fn(move || packer.next()).map(frame))).boxed_unsync()
    } else {
        StreamBody::new(stream::iter(pieces.map(Ok).map(frame))).boxed_unsync()
    };
    if gzip {
        respond::mark_gzip(&mut answer);
    }
    answer
}

/// The text of a list, in pieces of a bounded size.
struct Pieces {
    head: Option<Vec<u8>>,
    objects: std::vec::IntoIter<Arc<Object>>,
    first: bool,
    renderer: Renderer,
    closed: bool,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.closed {
            return None;
        }
        let mut out = self.head.take().unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4));
        while out.len() < PIECE_BYTES {
            let Some(object) = self.objects.next() else {
                self.renderer.close(&mut out);
                self.closed = true;
                break;
            };
            if !std::mem::take(&mut self.first) {
                out.push(b',');
            }
            self.renderer.item(object.json(), &mut out);
        }
        Some(out)
    }
}

/// Compresses pieces as they come.
struct Packer<P> {
    pieces: P,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<P: Iterator<Item = Vec<u8>>> Packer<P> {
    fn next(&mut self) -> Option<std::io::Result<Vec<u8>>> {
        let mut encoder = self.encoder.take()?;
        for piece in self.pieces.by_ref() {
            if let Err(error) = encoder.write_all(&piece) {
                return Some(Err(error));
            }
            if encoder.get_ref().len() >= PIECE_BYTES {
                let ready = std::mem::take(encoder.get_mut());
                self.encoder = Some(encoder);
                return Some(Ok(ready));
            }
        }
        Some(encoder.finish())
    }
}

/// 410: the revision is no longer in memory. A client that was paging gets a token to go on without consistency.
fn too_old(app: &App, options: &ListOptions, accepted: &Accepted) -> Answer {
    let Some(token) = &options.token else {
        let status = Status::expired("The resourceVersion for the provided list is too old.");
        return respond::refusal(&status, accepted);
    };
    let text = "The provided continue parameter is too old to display a consistent list result. You can start a new \
        list without the continue parameter, or use the continue token in this response to retrieve the remainder of \
        the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
        modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let mut body = respond::status_body(&Status::expired(text));
    let revision = app.cluster.view().revision().to_string();
    let token = Token { revision: None, ..token.clone() };
    body["metadata"] = json!({ "continue": token.encode(), "resourceVersion": revision });
    respond::value(410, &body, accepted)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use gantry_kinds::CONFIG_MAP;

    use super::*;
    use crate::query::Query;

    fn pieces(count: usize, bytes: usize) -> Pieces {
        let text = "x".repeat(bytes);
        let make = |at| {
            let body = json!({"metadata": {"name": format!("c{at:04}"), "namespace": "a"}, "data": {"text": text}});
            Arc::new(Object::from_value(&CONFIG_MAP, &body, 1).unwrap())
        };
        let objects: Vec<_> = (0..count).map(make).collect();
        let renderer = Renderer::new(&CONFIG_MAP, Shape::Whole, &Query::default(), Timestamp::UNIX_EPOCH).unwrap();
        let mut head = Vec::new();
        renderer.open(&json!({"resourceVersion": "5"}), true, &mut head);
        Pieces { head: Some(head), objects: objects.into_iter(), first: true, renderer, closed: false }
    }

    #[test]
    fn pieces_of_a_list_make_one_document() {
        for count in [0, 1, 2, 100] {
            let whole: Vec<u8> = pieces(count, 3000).flatten().collect();
            let list: Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("ConfigMapList"), count));
        }
        assert!(pieces(100, 3000).all(|piece| piece.len() < PIECE_BYTES + 4000));
    }

    #[test]
    fn a_compressed_list_is_the_same_list() {
        let mut packer =
            Packer { pieces: pieces(200, 3000), encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) };
        let packed: Vec<u8> = std::iter::from_fn(|| packer.next()).flat_map(Result::unwrap).collect();
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, pieces(200, 3000).flatten().collect::<Vec<u8>>());
    }
}
