//! What the client can read: `Accept` to a format and a shape, `pretty`, and whether gzip is welcome.

use gantry_kinds::{KindRef, Status};
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};

use crate::Refusal;
use crate::query::Query;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// What of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The object as it is.
    Whole,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `PartialObjectMetadata`, for one object and for watches.
    Metadata,
    /// `PartialObjectMetadataList`.
    MetadataList,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub format: Format,
    pub shape: Shape,
    pub pretty: bool,
    pub gzip: bool,
}

impl Accepted {
    /// JSON, whole, compact: when nothing is known about the client.
    pub(crate) const PLAIN: Accepted =
        Accepted { format: Format::Json, shape: Shape::Whole, pretty: false, gzip: false };
}

/// What a path can answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Whether the place can be watched, too.
    watchable: bool,
    answers: Answers,
    /// Whether there is a binary form of it.
    binary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// Objects, as Table and PartialObjectMetadata too.
    Objects,
    /// Streams of events, as Table and PartialObjectMetadata too.
    Watch,
    /// Documents that come in one shape.
    Documents,
    /// A document that comes as JSON alone.
    Json,
}

impl Offer {
    /// Documents that come in one shape.
    pub(crate) const DOCUMENTS: Offer = Offer { answers: Answers::Documents, binary: true, watchable: false };

    /// A document that comes as JSON alone.
    pub(crate) const JSON: Offer = Offer { answers: Answers::Json, binary: false, watchable: false };

    /// Objects of a kind, one or many.
    pub(crate) fn objects(kind: KindRef) -> Self {
        Offer { answers: Answers::Objects, binary: !kind.is_custom(), watchable: false }
    }
    /// Objects of a kind, at a place that can be watched too.
    pub(crate) fn list(kind: KindRef) -> Self {
        Offer { watchable: true, ..Self::objects(kind) }
    }
    /// Events about objects of a kind.
    pub(crate) fn watch(kind: KindRef) -> Self {
        Offer { answers: Answers::Watch, ..Self::list(kind) }
    }
    /// What a write of this kind can be answered with: what is only asked, never stored, has no rows.
    pub(crate) fn written(kind: KindRef) -> Self {
        if kind.verbs == ["create"] { Self::DOCUMENTS } else { Self::objects(kind) }
    }
}

const READS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const WATCHES: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Chooses the first of the client's wishes that can be met; 406 with upstream's words when there is none.
pub(crate) fn accept(headers: &HeaderMap, query: &Query, offer: Offer) -> Result<Accepted, Refusal> {
    let clauses = clauses(headers);
    let plain = plain(headers, query);
    if clauses.is_empty() {
        return Ok(plain);
    }
    let chosen = clauses.iter().find_map(|clause| clause.meets(offer));
    match chosen {
        Some((format, shape)) => Ok(Accepted { format, shape, ..plain }),
        None if offer.answers == Answers::Json => {
            let text = "406: Not Acceptable\n\nAvailable representations: application/json";
            Err(Box::new(Status::new(406, "NotAcceptable", text)))
        }
        None if clauses.iter().any(|clause| clause.format().is_some()) => {
            let available = if offer.answers == Answers::Watch { WATCHES } else { READS };
            let text = format!("only the following media types are accepted: {available}");
            Err(Box::new(Status::new(406, "NotAcceptable", text)))
        }
        None => {
            let watches = if offer.watchable { format!(", {WATCHES}") } else { String::new() };
            let text = format!("406: Not Acceptable\n\nAvailable representations: {READS}{watches}");
            Err(Box::new(Status::new(406, "NotAcceptable", text)))
        }
    }
}

/// How a refusal is written to this client, whatever else it accepts.
pub(crate) fn for_refusals(headers: &HeaderMap, query: &Query) -> Accepted {
    let any = Offer { answers: Answers::Objects, binary: true, watchable: false };
    let format = clauses(headers).iter().find_map(|c| c.meets(any)).map_or(Format::Json, |(format, _)| format);
    Accepted { format, ..plain(headers, query) }
}

fn plain(headers: &HeaderMap, query: &Query) -> Accepted {
    let encodings = headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // wire: with a weight, even one of 1, it does not count.
    let gzip = encodings.split(',').any(|encoding| encoding.trim() == "gzip");
    Accepted { pretty: pretty(headers, query), gzip, ..Accepted::PLAIN }
}

/// wire: people's tools get indented JSON without asking.
fn pretty(headers: &HeaderMap, query: &Query) -> bool {
    if let Some(asked) = query.text("pretty") {
        return ["1", "t", "T", "TRUE", "true", "True"].contains(&asked);
    }
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|tool| agent.starts_with(tool))
}

struct Clause<'a> {
    media: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

fn clauses(headers: &HeaderMap) -> Vec<Clause<'_>> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok());
    let mut clauses: Vec<_> =
        values.flat_map(|v| v.split(',')).filter(|c| !c.trim().is_empty()).map(Clause::parse).collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let params: Vec<_> = parts.filter_map(|p| p.split_once('=')).map(|(n, v)| (n.trim(), v.trim())).collect();
        let quality = params.iter().find(|(n, _)| *n == "q").and_then(|(_, v)| v.parse().ok()).unwrap_or(1.0);
        Clause { media, params, quality }
    }

    fn param(&self, name: &str) -> Option<&'a str> {
        self.params.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn format(&self) -> Option<Format> {
        match self.media {
            "application/json" | "*/*" | "application/*" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            "application/vnd.kubernetes.protobuf" => Some(Format::Protobuf),
            _ => None,
        }
    }

    fn meets(&self, offer: Offer) -> Option<(Format, Shape)> {
        let format = self.format()?;
        let watch = offer.answers == Answers::Watch;
        if watch && format == Format::Yaml || offer.answers == Answers::Json && format != Format::Json {
            return None;
        }
        if self.param("stream").is_some_and(|s| !watch || s != "watch") {
            return None;
        }
        let Some(wanted) = self.param("as") else {
            let missing = format == Format::Protobuf && !offer.binary;
            return (!missing).then_some((format, Shape::Whole));
        };
        let ours = self.param("g") == Some("meta.k8s.io") && self.param("v") == Some("v1");
        if matches!(offer.answers, Answers::Documents | Answers::Json) || !ours {
            return None;
        }
        match wanted {
            // Cells are any JSON, which has no binary form.
            "Table" => (format != Format::Protobuf).then_some((format, Shape::Table)),
            "PartialObjectMetadata" => Some((format, Shape::Metadata)),
            "PartialObjectMetadataList" if watch => Some((format, Shape::Metadata)),
            "PartialObjectMetadataList" => Some((format, Shape::MetadataList)),
            _ => None,
        }
    }
}

/// The format of aggregated discovery for clients that prefer it to the plain one.
pub(crate) fn wants_aggregated_discovery(headers: &HeaderMap) -> Option<Format> {
    clauses(headers).into_iter().find_map(|clause| {
        let aggregated = clause.param("g") == Some("apidiscovery.k8s.io")
            && clause.param("v") == Some("v2")
            && clause.param("as") == Some("APIGroupDiscoveryList")
            && clause.param("profile").is_none();
        let plain = clause.param("as").is_none();
        let format = clause.format()?;
        (aggregated || plain).then_some(aggregated.then_some(format))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: Offer = Offer { answers: Answers::Objects, binary: true, watchable: false };
    const LIST: Offer = Offer { watchable: true, ..OBJECTS };
    const WATCH: Offer = Offer { answers: Answers::Watch, ..LIST };

    #[test]
    fn watches_are_offered_only_where_they_are_served() {
        let refusal = |offer| accept(&headers("text/html"), &Query::default(), offer).err().map(|why| why.message);
        assert!(refusal(LIST).is_some_and(|text| text.contains("stream=watch")));
        assert!(refusal(OBJECTS).is_some_and(|text| !text.contains("stream=watch")));
    }

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        headers
    }

    fn check(accepted: &str, offer: Offer, expected: Result<(Format, Shape), &str>) {
        let got = accept(&headers(accepted), &Query::default(), offer);
        let got = got.map(|a| (a.format, a.shape)).map_err(|s| s.message);
        assert_eq!(got.as_ref().map_err(|m| &m[..m.len().min(30)]).copied(), expected, "{accepted}");
    }

    #[test]
    fn the_first_wish_that_can_be_met_wins() {
        let json = Ok((Format::Json, Shape::Whole));
        check("", OBJECTS, json);
        check("*/*", WATCH, json);
        let binary = Ok((Format::Protobuf, Shape::Whole));
        check("application/vnd.kubernetes.protobuf, application/json", OBJECTS, binary);
        check("application/vnd.kubernetes.protobuf;stream=watch,application/json;q=0.5", WATCH, binary);
        let custom = Offer { binary: false, ..OBJECTS };
        check("application/vnd.kubernetes.protobuf, application/json", custom, json);
        let tables = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io";
        check(tables, OBJECTS, Ok((Format::Json, Shape::Table)));
        check("application/json;q=0.1,application/yaml", OBJECTS, Ok((Format::Yaml, Shape::Whole)));
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(table, OBJECTS, Ok((Format::Json, Shape::Table)));
        check(table, Offer::DOCUMENTS, json);
        let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
        check(metadata, OBJECTS, Ok((Format::Json, Shape::MetadataList)));
        check(metadata, WATCH, Ok((Format::Json, Shape::Metadata)));
    }

    #[test]
    fn nothing_that_can_be_met_is_406() {
        check("text/plain", OBJECTS, Err("406: Not Acceptable\n\nAvailable"));
        check("application/json;as=Foo;v=v1;g=meta.k8s.io", OBJECTS, Err("only the following media types"));
        let custom = Offer { binary: false, ..OBJECTS };
        check("application/vnd.kubernetes.protobuf", custom, Err("only the following media types"));
        check("application/vnd.kubernetes.protobuf", Offer::JSON, Err("406: Not Acceptable\n\nAvailable"));
        let metadata = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
        check(metadata, custom, Ok((Format::Protobuf, Shape::Metadata)));
        check("application/yaml", WATCH, Err("only the following media types"));
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let review = Offer::written(&gantry_kinds::SELF_SUBJECT_ACCESS_REVIEW);
        check(table, review, Err("only the following media types"));
        check(table, Offer::written(&gantry_kinds::POD), Ok((Format::Json, Shape::Table)));
    }

    #[test]
    fn discovery_comes_aggregated_to_those_who_ask() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let check =
            |accept: &str, expected| assert_eq!(wants_aggregated_discovery(&headers(accept)), expected, "{accept}");
        check(&format!("{v2};profile=nopeer,{v2},application/json"), Some(Format::Json));
        check(&v2.replace("json", "vnd.kubernetes.protobuf"), Some(Format::Protobuf));
        check(&format!("application/json,{v2}"), None);
        check("*/*", None);
    }
}
