//! What a request is to admission: the words that rules, expressions and reviews have for it.

use gantry_kinds::{KindRef, NAMESPACE};
use serde_json::{Map, Value, json};

use crate::body::Expected;
use crate::case::Case;
use crate::request::{DeleteOptions, Operation, User};

/// A request with its objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub(crate) operation: &'static str,
    /// The row of the resource.
    pub(crate) kind: KindRef,
    /// What the objects are: of the kind itself, or the body of a subresource.
    pub(crate) body: Expected,
    pub(crate) subresource: &'a str,
    /// Empty where it is to be generated, and for a whole collection.
    pub(crate) name: &'a str,
    /// A namespace is in itself.
    pub(crate) namespace: &'a str,
    pub(crate) user: &'a User,
    pub(crate) dry_run: bool,
    /// The kind of the options; empty where there are none.
    pub(crate) options: &'static str,
    /// The new object, if there is one.
    pub(crate) object: Option<&'a Value>,
    /// The old object, if there is one.
    pub(crate) old: Option<&'a Value>,
}

impl<'a> Attributes<'a> {
    /// A request about an object of the kind itself.
    pub(crate) fn of(case: &Case<'a>, operation: &'static str) -> Self {
        let target = case.target();
        let whole = matches!(&case.request.operation, Operation::Delete(options) if options.collection);
        let name = if whole { "" } else { target.name.as_str() };
        Attributes {
            operation,
            kind: case.kind(),
            body: Expected::object(case.kind()),
            subresource: &target.subresource,
            name,
            namespace: if case.kind() == &NAMESPACE { name } else { &target.namespace },
            user: case.user(),
            dry_run: case.dry_run(),
            options: match operation {
                "CREATE" => "CreateOptions",
                "UPDATE" => "UpdateOptions",
                "DELETE" => "DeleteOptions",
                _ => "",
            },
            object: None,
            old: None,
        }
    }

    /// The same about the body of a subresource.
    pub(crate) fn about(self, body: Expected) -> Self {
        Attributes { body, ..self }
    }

    /// The same with these objects. A new object has the last word on what it is called.
    pub(crate) fn with(mut self, object: Option<&'a Value>, old: Option<&'a Value>) -> Self {
        (self.object, self.old) = (object, old);
        if let Some(object) = object.filter(|_| self.name.is_empty()) {
            self.name = crate::meta::text(object, "name");
            if self.kind == &NAMESPACE {
                self.namespace = self.name;
            }
        }
        self
    }

    /// `AdmissionRequest`, without objects and without a uid; `matched` is the version that a rule asked for.
    pub(crate) fn request(&self, case: &Case<'_>, matched: KindRef) -> Value {
        let own = self.body.is_object_of(self.kind);
        let kind_of = |row: KindRef| {
            let (group, version, kind) =
                if own { (row.group, row.version, row.kind) } else { self.body.group_version_kind() };
            json!({"group": group, "version": version, "kind": kind})
        };
        let resource_of = |row: KindRef| json!({"group": row.group, "version": row.version, "resource": row.plural});
        let mut request = Map::new();
        let mut put = |key: &str, value: Value| {
            if value != "" {
                request.insert(key.to_owned(), value);
            }
        };
        put("kind", kind_of(matched));
        put("resource", resource_of(matched));
        put("subResource", self.subresource.into());
        put("requestKind", kind_of(self.kind));
        put("requestResource", resource_of(self.kind));
        put("requestSubResource", self.subresource.into());
        put("name", self.name.into());
        put("namespace", self.namespace.into());
        put("operation", self.operation.into());
        put("userInfo", user_info(self.user));
        put("dryRun", self.dry_run.into());
        put("options", if self.options.is_empty() { Value::Null } else { options(case, self.options) });
        Value::Object(request)
    }
}

/// A user as reviews tell of him.
pub(crate) fn user_info(user: &User) -> Value {
    let mut info = user.shown("username");
    info.entry("username").or_insert_with(|| "".into());
    info.entry("groups").or_insert_with(|| json!([]));
    Value::Object(info)
}

/// The options of a write, as an object of their kind.
fn options(case: &Case<'_>, kind: &str) -> Value {
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if let Operation::Delete(given) = &case.request.operation {
        deleting(given, &mut options);
    } else if !case.request.options.field_manager.is_empty() {
        options["fieldManager"] = case.request.options.field_manager.clone().into();
    }
    if case.dry_run() {
        options["dryRun"] = json!(["All"]);
    }
    options
}

fn deleting(given: &DeleteOptions, options: &mut Value) {
    if let Some(seconds) = given.grace_seconds {
        options["gracePeriodSeconds"] = seconds.into();
    }
    for (key, value) in [("uid", &given.uid), ("resourceVersion", &given.revision)] {
        if let Some(value) = value {
            options["preconditions"][key] = value.clone().into();
        }
    }
    if let Some(policy) = &given.propagation {
        options["propagationPolicy"] = policy.clone().into();
    }
}
