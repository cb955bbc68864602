//! What the registry is asked, and how it answers.

use bytes::Bytes;
use gantry_kinds::{KindRef, Status};
use gantry_view::ObjectKey;
use serde_json::Value;

use crate::ask::Ask;

pub use gantry_policy::User;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Row of the kind table.
    pub kind: KindRef,
    /// Namespace; empty where cluster-scoped, or for all namespaces.
    pub namespace: String,
    /// Name; empty for collections and for create.
    pub name: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
}

/// A request body: the tree, with what the decoder noticed on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The decoded tree.
    pub value: Value,
    /// Paths of duplicate keys that the decoder saw, for field validation.
    pub duplicates: Vec<String>,
    /// What stood under such keys before, each in a tree of its own.
    pub shadowed: Vec<Value>,
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Body { value, ..Body::default() }
    }
}

/// The four patch types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

/// `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `gracePeriodSeconds`.
    pub grace_seconds: Option<i64>,
    /// `propagationPolicy`: `Orphan`, `Background` or `Foreground`.
    pub propagation: Option<String>,
    /// `preconditions.uid`.
    pub uid: Option<String>,
    /// `preconditions.resourceVersion`.
    pub revision: Option<String>,
    /// The object goes with a whole collection: the verb is `deletecollection`, not `delete`.
    pub collection: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// POST on a collection, or on a subresource such as `binding`, `eviction`, `token`.
    Create(Body),
    /// PUT.
    Update(Body),
    /// PATCH.
    Patch(PatchKind, Body),
    /// DELETE of one object.
    Delete(DeleteOptions),
    /// A connection to what a subresource such as `exec` or `proxy` leads to. It is admitted here and made elsewhere.
    Connect(Connection),
}

/// A connection that a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// What the request is to authorization: `get`, `create` and so on.
    pub verb: &'static str,
    /// Its options, such as `PodExecOptions`, without their kind.
    pub options: Value,
}

/// `fieldValidation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Unknown and duplicate fields are dropped in silence.
    Ignore,
    /// Dropped, with a warning each.
    #[default]
    Warn,
    /// Refused.
    Strict,
}

/// Query options of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `dryRun=All`: decide, answer, keep nothing.
    pub dry_run: bool,
    /// `fieldManager`; empty when not given (the server then derives it from the user agent).
    pub field_manager: String,
    /// `force`, for apply.
    pub force: bool,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
}

/// One write request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asks.
    pub user: User,
    /// About what.
    pub target: Target,
    /// What.
    pub operation: Operation,
    /// How.
    pub options: Options,
}

/// One key of a commit: what it must be at, and what it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Which object.
    pub key: ObjectKey,
    /// The revision that the key must be at: 0 for "must not exist".
    pub expect: u64,
    /// The new JSON (without resourceVersion); `None` removes the object.
    pub json: Option<Bytes>,
}

/// The registry's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Commit all of `writes` at once, if every key is still at the revision that it was decided on; then answer.
    /// `guards` are keys that are only relied on (the namespace of a new object), with their revisions.
    Commit {
        /// What changes.
        writes: Vec<Write>,
        /// What must not have changed: key and revision, 0 for "must not exist".
        guards: Vec<(ObjectKey, u64)>,
        /// The body of the answer; where it is the first written object its resourceVersion is set by the committer.
        reply: Value,
        /// HTTP status of the answer, 200 or 201.
        code: u16,
        /// Texts for `Warning` headers.
        warnings: Vec<String>,
    },
    /// Nothing to commit (a review, a dry run, a patch that changes nothing): just answer.
    Reply {
        /// The body.
        reply: Value,
        /// HTTP status of the answer.
        code: u16,
        /// Texts for `Warning` headers.
        warnings: Vec<String>,
    },
    /// No.
    Refuse(Box<Status>),
    /// Decide anew with the answer to this.
    Ask(Box<Ask>),
}

impl Decision {
    /// The same with more to warn of, before what there is.
    pub(crate) fn warning(mut self, mut more: Vec<String>) -> Self {
        if let Decision::Commit { warnings, .. } | Decision::Reply { warnings, .. } = &mut self {
            more.append(warnings);
            *warnings = more;
        }
        self
    }
}
