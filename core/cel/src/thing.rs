//! Values that only functions know: addresses, URLs, quantities, versions, formats, and questions about rights.

use std::net::IpAddr;
use std::sync::Arc;

use crate::authorizer::{Decision, Question};
use crate::library::format::Format;
use crate::library::semver::Version;
use crate::library::url::Url;
use crate::types::Opaque;

/// Such a value.
#[derive(Clone, Debug)]
pub enum Thing<'a> {
    /// An address.
    Ip(IpAddr),
    /// An address with the length of its prefix.
    Cidr(IpAddr, u8),
    /// A URL.
    Url(Arc<Url>),
    /// An amount, in nanos.
    Quantity(i128),
    /// A semantic version.
    Semver(Arc<Version>),
    /// A named format.
    Format(&'static Format),
    /// A question about rights, as far as it is asked.
    Question(Arc<Question<'a>>),
    /// The answer.
    Decision(Arc<Decision>),
    /// A pattern that was compiled before, with its text.
    Pattern(Arc<(String, regex::Regex)>),
}

impl Thing<'_> {
    pub(crate) fn kind(&self) -> Opaque {
        match self {
            Thing::Ip(_) => Opaque::Ip,
            Thing::Cidr(..) => Opaque::Cidr,
            Thing::Url(_) => Opaque::Url,
            Thing::Quantity(_) => Opaque::Quantity,
            Thing::Semver(_) => Opaque::Semver,
            Thing::Format(_) | Thing::Pattern(_) => Opaque::Format,
            Thing::Question(question) => question.kind(),
            Thing::Decision(_) => Opaque::Decision,
        }
    }
    pub(crate) fn equals(&self, other: &Thing<'_>) -> bool {
        match (self, other) {
            (Thing::Ip(one), Thing::Ip(two)) => one == two,
            (Thing::Cidr(one, bits), Thing::Cidr(two, other)) => one == two && bits == other,
            (Thing::Url(one), Thing::Url(two)) => one == two,
            (Thing::Quantity(one), Thing::Quantity(two)) => one == two,
            (Thing::Semver(one), Thing::Semver(two)) => one.compare(two).is_eq(),
            (Thing::Format(one), Thing::Format(two)) => one.name == two.name,
            (Thing::Question(one), Thing::Question(two)) => Arc::ptr_eq(one, two),
            (Thing::Decision(one), Thing::Decision(two)) => one == two,
            _ => false,
        }
    }
}
