//! `serviceaccounts/token`: whether a token may be asked for. The server signs it, as it has the keys.

use crate::admission;
use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::request::{Body, Decision};

pub(crate) fn decide(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    case.existing()?;
    let expected = Expected::subresource(case.kind(), "token");
    let mut decoded = body::decode(case, body, expected)?;
    let mut draft = Draft::warning(decoded.warnings);
    admission::post(case, expected, &mut decoded.value, &mut draft)?;
    Ok(Decision::Reply { reply: decoded.value, code: 201, warnings: draft.warnings })
}
