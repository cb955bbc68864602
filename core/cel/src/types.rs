//! Types, and which may stand where which is wanted.
//!
//! Structs are known by their names. Type parameters are numbers; what they stand for is kept in `Bindings`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::declare::Struct;
use crate::deep::deeper;

/// The type of an expression or of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when it runs.
    Dyn,
    /// Something wrong was said already.
    Error,
    /// The type of `null`.
    Null,
    /// Truth values.
    Bool,
    /// 64-bit integers.
    Int,
    /// 64-bit integers without sign.
    Uint,
    /// 64-bit floating point.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Instants.
    Timestamp,
    /// Spans of time.
    Duration,
    /// Lists.
    List(Arc<Type>),
    /// Maps.
    Map(Arc<(Type, Type)>),
    /// Objects with declared fields.
    Struct(Arc<Struct>),
    /// What only functions know.
    Opaque(Opaque),
    /// A value or nothing.
    Optional(Arc<Type>),
    /// The type of types.
    Type(Option<Arc<Type>>),
    /// A type not known yet.
    Param(u32),
}

/// Types that only functions know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    /// An address of the internet.
    Ip,
    /// A range of such addresses.
    Cidr,
    /// A URL.
    Url,
    /// An amount of a resource.
    Quantity,
    /// A semantic version.
    Semver,
    /// A named format of text.
    Format,
    /// Answers who may do what.
    Authorizer,
    /// A question about a path.
    PathCheck,
    /// A question about an API group.
    GroupCheck,
    /// A question about a resource.
    ResourceCheck,
    /// An answer.
    Decision,
}

impl Opaque {
    /// Every one.
    pub(crate) const ALL: [Opaque; 11] = [
        Opaque::Ip,
        Opaque::Cidr,
        Opaque::Url,
        Opaque::Quantity,
        Opaque::Semver,
        Opaque::Format,
        Opaque::Authorizer,
        Opaque::PathCheck,
        Opaque::GroupCheck,
        Opaque::ResourceCheck,
        Opaque::Decision,
    ];
    /// Its full name.
    pub fn name(self) -> &'static str {
        match self {
            Opaque::Ip => "net.IP",
            Opaque::Cidr => "net.CIDR",
            Opaque::Url => "kubernetes.URL",
            Opaque::Quantity => "kubernetes.Quantity",
            Opaque::Semver => "kubernetes.Semver",
            Opaque::Format => "kubernetes.NamedFormat",
            Opaque::Authorizer => "kubernetes.authorization.Authorizer",
            Opaque::PathCheck => "kubernetes.authorization.PathCheck",
            Opaque::GroupCheck => "kubernetes.authorization.GroupCheck",
            Opaque::ResourceCheck => "kubernetes.authorization.ResourceCheck",
            Opaque::Decision => "kubernetes.authorization.Decision",
        }
    }
}

impl Type {
    /// A list of those.
    pub fn list(of: Type) -> Self {
        Type::List(Arc::new(of))
    }
    /// A map of those.
    pub fn map(key: Type, value: Type) -> Self {
        Type::Map(Arc::new((key, value)))
    }
    /// One of those or nothing.
    pub fn optional(of: Type) -> Self {
        Type::Optional(Arc::new(of))
    }
    /// The type of that type.
    pub(crate) fn of_type(of: Type) -> Self {
        Type::Type(Some(Arc::new(of)))
    }
    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }
    /// Whether values of it have a size that is known before any is.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
            Type::Optional(of) => of.is_scalar(),
            _ => false,
        }
    }
    /// The types it is made of.
    pub(crate) fn parameters(&self) -> Vec<&Type> {
        match self {
            Type::List(of) | Type::Optional(of) | Type::Type(Some(of)) => vec![of],
            Type::Map(of) => vec![&of.0, &of.1],
            _ => Vec::new(),
        }
    }
    /// It with its parts replaced.
    fn rebuilt(&self, mut part: impl FnMut(&Type) -> Type) -> Type {
        match self {
            Type::List(of) => Type::list(part(of)),
            Type::Optional(of) => Type::optional(part(of)),
            Type::Type(Some(of)) => Type::of_type(part(of)),
            Type::Map(of) => Type::map(part(&of.0), part(&of.1)),
            _ => self.clone(),
        }
    }
    /// Whether both are made the same way, whatever their parts.
    fn same_form(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::List(_), Type::List(_))
            | (Type::Map(_), Type::Map(_))
            | (Type::Optional(_), Type::Optional(_))
            | (Type::Type(_), Type::Type(_)) => true,
            _ => self == other,
        }
    }
    /// Whether it says no more than `other` says.
    fn covers(&self, other: &Type) -> bool {
        if self.is_dyn_or_error() || matches!(self, Type::Param(_)) {
            return true;
        }
        if other.is_dyn_or_error() || matches!(other, Type::Param(_)) || !self.same_form(other) {
            return false;
        }
        matches!(self, Type::Type(_))
            || self.parameters().iter().zip(other.parameters()).all(|(one, other)| one.covers(other))
    }
    /// The one that says less.
    pub(crate) fn more_general(self, other: Type) -> Type {
        if self.covers(&other) { self } else { other }
    }
    /// How many parts it has; none if they are more than `limit`.
    pub(crate) fn weight(&self, limit: usize) -> Option<usize> {
        let mut weight = 1;
        for part in self.parameters() {
            weight += part.weight(limit.checked_sub(weight)?)?;
        }
        (weight <= limit).then_some(weight)
    }
    /// Its name without its parts, as values of it show it.
    pub fn name(&self) -> String {
        match self {
            Type::List(_) => "list".to_owned(),
            Type::Map(_) => "map".to_owned(),
            Type::Optional(_) => "optional_type".to_owned(),
            Type::Type(_) => "type".to_owned(),
            Type::Null => "null_type".to_owned(),
            Type::Timestamp => "google.protobuf.Timestamp".to_owned(),
            Type::Duration => "google.protobuf.Duration".to_owned(),
            of => of.to_string(),
        }
    }
    fn may_be_null(&self) -> bool {
        matches!(
            self,
            Type::Null | Type::Struct(_) | Type::Opaque(_) | Type::Optional(_) | Type::Duration | Type::Timestamp
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Error => f.write_str("!error!"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(of) => write!(f, "map({}, {})", of.0, of.1),
            Type::Struct(of) => f.write_str(of.name()),
            Type::Opaque(of) => f.write_str(of.name()),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Type(None) => f.write_str("type"),
            Type::Type(Some(of)) => write!(f, "type({of})"),
            Type::Param(n) => write!(f, "_var{n}"),
        }
    }
}

/// What type parameters stand for.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    bound: BTreeMap<u32, Type>,
    /// What was changed since the last assignment began, and what it was before.
    undo: Vec<(u32, Option<Type>)>,
    next: u32,
}

impl Bindings {
    /// A type not known yet.
    pub(crate) fn fresh(&mut self) -> Type {
        self.next += 1;
        Type::Param(self.next - 1)
    }
    /// The type with all that is known put in; what is not known stays, or becomes dynamic.
    pub(crate) fn resolve(&self, of: &Type, to_dyn: bool) -> Type {
        match of {
            Type::Param(n) => match self.bound.get(n) {
                Some(bound) => self.resolve(bound, to_dyn),
                None if to_dyn => Type::Dyn,
                None => of.clone(),
            },
            _ => deeper(|| of.rebuilt(|part| self.resolve(part, to_dyn))),
        }
    }
    /// Whether each of `found` may stand where `wanted` is, together; if so, what that tells is kept.
    pub(crate) fn assign_all(&mut self, wanted: &[Type], found: &[Type]) -> bool {
        if wanted.len() != found.len() {
            return false;
        }
        self.undo.clear();
        let fits = wanted.iter().zip(found).all(|(wanted, found)| self.unify(wanted, found));
        if !fits {
            while let Some((param, before)) = self.undo.pop() {
                match before {
                    Some(before) => drop(self.bound.insert(param, before)),
                    None => drop(self.bound.remove(&param)),
                }
            }
        }
        fits
    }
    /// As `assign_all`, for one.
    pub(crate) fn assign(&mut self, wanted: &Type, found: &Type) -> bool {
        self.assign_all(std::slice::from_ref(wanted), std::slice::from_ref(found))
    }
    fn unify(&mut self, wanted: &Type, found: &Type) -> bool {
        if let Type::Param(n) = found {
            match self.bind(*n, wanted) {
                Bound::Yes => return true,
                Bound::Clash => return false,
                Bound::No => {}
            }
        }
        if let Type::Param(n) = wanted {
            return matches!(self.bind(*n, found), Bound::Yes);
        }
        if wanted.is_dyn_or_error() || found.is_dyn_or_error() {
            return true;
        }
        match (wanted, found) {
            (Type::Null, other) | (other, Type::Null) => other.may_be_null(),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(one), Type::List(two)) | (Type::Optional(one), Type::Optional(two)) => {
                deeper(|| self.unify(one, two))
            }
            (Type::Map(one), Type::Map(two)) => deeper(|| self.unify(&one.0, &two.0) && self.unify(&one.1, &two.1)),
            _ => wanted == found,
        }
    }
    /// Lets the parameter stand for the type, or for what is more general of it and what it stood for.
    fn bind(&mut self, param: u32, to: &Type) -> Bound {
        if *to == Type::Param(param) {
            return Bound::Yes;
        }
        if let Some(known) = self.bound.get(&param).cloned() {
            if !self.unify(to, &known) {
                return Bound::Clash;
            }
            let general = to.clone().more_general(known);
            if !self.mentions(&general, param) {
                self.set(param, general);
            }
            return Bound::Yes;
        }
        if self.mentions(to, param) {
            return Bound::No;
        }
        self.set(param, to.clone());
        Bound::Yes
    }
    fn set(&mut self, param: u32, to: Type) {
        let before = self.bound.insert(param, to);
        self.undo.push((param, before));
    }
    fn mentions(&self, of: &Type, param: u32) -> bool {
        match of {
            Type::Param(n) if *n == param => true,
            Type::Param(n) => self.bound.get(n).is_some_and(|bound| self.mentions(bound, param)),
            _ => of.parameters().into_iter().any(|part| self.mentions(part, param)),
        }
    }
}

enum Bound {
    Yes,
    No,
    Clash,
}
