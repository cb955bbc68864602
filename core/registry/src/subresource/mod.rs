//! Subresources whose body is not the object itself.

pub(crate) mod binding;
mod budget;
pub(crate) mod eviction;
pub mod scale;
pub(crate) mod token;

use serde_json::Value;

use crate::admission;
use crate::body::Expected;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::request::{Connection, Decision};

/// Admits a connection; whoever asked makes it.
pub(crate) fn connect(case: &Case<'_>, connection: &Connection) -> Result<Decision, Refusal> {
    let expected = Expected::subresource(case.kind(), &case.target().subresource);
    let (mut options, mut draft) = (connection.options.clone(), Draft::default());
    let (kind, api_version) = expected.names();
    options["kind"] = kind.into();
    options["apiVersion"] = api_version.into();
    admission::connect(case, expected, &mut options, &mut draft)?;
    Ok(Decision::Reply { reply: Value::Null, code: 200, warnings: draft.warnings })
}
