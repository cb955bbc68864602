//! What expressions in objects may speak of: those of admission (policies, match conditions) and of device selectors.
//!
//! Who checks an object and who evaluates its expressions later take the same environment from here.

use std::sync::{Arc, LazyLock};

use gantry_cel::{Declared, Env, Opaque, Program, Struct, Type};

/// A device selector is at most this long.
pub const SELECTOR_BYTES: usize = 10 * 1024;
/// A device selector may be estimated to cost this much.
pub const SELECTOR_COST: u64 = 1_000_000;
/// A device has at most this many attributes and capacities.
const DEVICE_ENTRIES: u64 = 32;

/// What an expression of admission may speak of besides the request and its objects.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Whether there is an object with parameters.
    pub params: bool,
    /// Whether it may ask who may do what.
    pub authorizer: bool,
    /// Whether it may make values of `Object` and `JSONPatch`.
    pub patches: bool,
    /// The variables that were defined before, if it knows of variables at all.
    pub variables: Option<Vec<(String, Type)>>,
}

impl Admission {
    /// The environment.
    pub fn env(&self) -> Arc<Env> {
        let mut env = Env::new()
            .variable("object", Declared::dynamic())
            .variable("oldObject", Declared::dynamic())
            .variable("request", REQUEST.clone())
            .variable("namespaceObject", NAMESPACE.clone());
        if self.params {
            env = env.variable("params", Declared::dynamic());
        }
        if self.authorizer {
            env = env
                .value("authorizer", Type::Opaque(Opaque::Authorizer))
                .value("authorizer.requestResource", Type::Opaque(Opaque::ResourceCheck));
        }
        if let Some(variables) = &self.variables {
            let fields = variables.iter().map(|(name, ty)| (name.clone(), Declared::of_type(ty.clone())));
            env = env.variable("variables", Declared::object(Struct::new("kubernetes.variables", fields)));
        }
        Arc::new(if self.patches { env.patches() } else { env })
    }
}

/// The environment of device selectors.
pub fn device() -> &'static Arc<Env> {
    static DEVICE: LazyLock<Arc<Env>> = LazyLock::new(|| {
        let table = |of: Declared| Declared::map(Declared::map(of, Some(DEVICE_ENTRIES)), Some(DEVICE_ENTRIES));
        let device = object(
            "DRADevice",
            [
                ("driver", Declared::string(Some(63))),
                ("allowMultipleAllocations", Declared::bool()),
                ("attributes", table(Declared::dynamic())),
                ("capacity", table(Declared::of_type(Type::Opaque(Opaque::Quantity)))),
            ],
        );
        Arc::new(Env::new().variable("device", device))
    });
    &DEVICE
}

/// Compiles an expression that must be of one of these types; the error is what upstream says of it.
pub fn compile(source: &str, env: &Arc<Env>, wanted: &[Type]) -> Result<Program, String> {
    let program = Program::compile(source, env).map_err(|error| error.detail())?;
    if wanted.contains(program.result()) {
        return Ok(program);
    }
    let found = full_name(program.result());
    let names: Vec<_> = wanted.iter().map(full_name).collect();
    Err(match names.as_slice() {
        [name] => format!("must evaluate to {name} but got {found}"),
        _ => format!("must evaluate to one of [{}] but got {found}", names.join(" ")),
    })
}

/// Compiles a device selector.
pub fn compile_selector(source: &str) -> Result<Program, String> {
    let program = Program::compile(source, device()).map_err(|error| error.detail())?;
    match program.result() {
        Type::Bool | Type::Dyn => Ok(program),
        other => Err(format!("must evaluate to bool or the unknown type, not {}", full_name(other))),
    }
}

/// The type of what a patch is made of: `Object`.
pub fn object_type() -> Type {
    Type::Struct(Arc::new(Struct::open("Object")))
}

/// The type of a list of JSON patch operations.
pub fn operations_type() -> Type {
    Type::list(Type::Struct(Arc::new(Struct::open("JSONPatch"))))
}

/// The name of a type as the language itself says it, where errors of the checker have a short one.
pub fn full_name(ty: &Type) -> String {
    match ty {
        Type::Null => "null_type".to_owned(),
        Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
        Type::Duration => "google.protobuf.Duration".to_owned(),
        Type::List(of) => format!("list({})", full_name(of)),
        Type::Map(of) => format!("map({}, {})", full_name(&of.0), full_name(&of.1)),
        Type::Optional(of) => format!("optional_type({})", full_name(of)),
        Type::Type(Some(of)) => format!("type({})", full_name(of)),
        other => other.to_string(),
    }
}

fn object<const N: usize>(name: &str, fields: [(&str, Declared); N]) -> Declared {
    let fields = fields.map(|(name, declared)| (name.to_owned(), declared));
    Declared::object(Struct::new(format!("kubernetes.{name}"), fields))
}

fn text() -> Declared {
    Declared::string(None)
}

fn texts() -> Declared {
    Declared::list(text(), None)
}

static REQUEST: LazyLock<Declared> = LazyLock::new(|| {
    let kind = object("GroupVersionKind", [("group", text()), ("version", text()), ("kind", text())]);
    let resource = object("GroupVersionResource", [("group", text()), ("version", text()), ("resource", text())]);
    let user = [("username", text()), ("uid", text()), ("groups", texts()), ("extra", Declared::map(texts(), None))];
    object(
        "AdmissionRequest",
        [
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", text()),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", object("UserInfo", user)),
            ("dryRun", Declared::bool()),
            ("options", Declared::dynamic()),
        ],
    )
});

static NAMESPACE: LazyLock<Declared> = LazyLock::new(|| {
    let labels = || Declared::map(text(), None);
    let metadata = object(
        "NamespaceMetadata",
        [
            ("name", text()),
            ("generateName", text()),
            ("namespace", text()),
            ("labels", labels()),
            ("annotations", labels()),
            // wire: in capitals, unlike the field of the object.
            ("UID", text()),
            ("creationTimestamp", Declared::time()),
            ("deletionGracePeriodSeconds", Declared::int()),
            ("deletionTimestamp", Declared::time()),
            ("generation", Declared::int()),
            ("resourceVersion", text()),
            ("finalizers", texts()),
        ],
    );
    let spec = object("NamespaceSpec", [("finalizers", texts())]);
    let status = object("NamespaceStatus", [("phase", text())]);
    object("Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_speak_of_what_their_place_allows() {
        let says = |source: &str, of: &Admission| compile(source, &of.env(), &[Type::Bool]).err();
        let plain = Admission { authorizer: true, ..Admission::default() };
        assert_eq!(says("request.userInfo.groups.all(g, g != '') && object.x == oldObject.x", &plain), None);
        assert_eq!(says("authorizer.requestResource.check('get').allowed()", &plain), None);
        assert_eq!(says("object.x", &plain).as_deref(), Some("must evaluate to bool but got dyn"));
        assert!(says("params.x == 1", &plain).is_some_and(|why| why.contains("undeclared reference to 'params'")));
        let variables = Some(vec![("n".to_owned(), Type::Int)]);
        let more = Admission { params: true, variables, ..plain };
        assert_eq!(says("params.x == variables.n", &more), None);
        assert!(says("variables.m == 1", &more).is_some_and(|why| why.contains("undefined field 'm'")));
        assert_eq!(
            says("timestamp(0)", &more).as_deref(),
            Some("must evaluate to bool but got google.protobuf.Timestamp")
        );
    }

    #[test]
    fn selectors_see_a_device() {
        assert!(compile_selector("device.attributes['a'].b").is_ok());
        assert!(compile_selector("device.capacity['a'].b.compareTo(quantity('1')) > 0").is_ok());
        assert_eq!(
            compile_selector("device.capacity['a'].b").err().as_deref(),
            Some("must evaluate to bool or the unknown type, not kubernetes.Quantity")
        );
    }

    #[test]
    fn patches_are_made_where_they_are_wanted() {
        let of = Admission { patches: true, ..Admission::default() };
        let says = |source: &str, wanted: Type| compile(source, &of.env(), &[wanted]).err();
        assert_eq!(says("Object{spec: Object.spec{replicas: 1}}", object_type()), None);
        assert_eq!(
            says("Object.spec{}", object_type()).as_deref(),
            Some("must evaluate to Object but got Object.spec")
        );
        assert_eq!(says("has(object.x) ? [JSONPatch{op: 'add'}] : []", operations_type()), None);
        let none = says("[]", operations_type());
        assert_eq!(none.as_deref(), Some("must evaluate to list(JSONPatch) but got list(dyn)"));
    }
}
