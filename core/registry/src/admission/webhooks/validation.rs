//! Webhooks that check a request: all of them at once, as none of them changes anything.

use super::{Asked, all};
use crate::admission::attributes::Attributes;
use crate::ask::Ask;
use crate::case::{Case, Refusal};
use crate::commit::Draft;

/// Asks the webhooks that check. The first that denies or fails refuses the request.
pub(crate) fn validate(case: &Case<'_>, request: &Attributes<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    let mut asked = Vec::new();
    for webhook in all(case, request, false) {
        asked.extend(Asked::of(case, request, false, webhook, draft)?);
    }
    if asked.is_empty() {
        return Ok(());
    }
    let reviews = asked.iter().map(|asked| asked.review(case, request)).collect::<Result<Vec<_>, _>>()?;
    let answers = case.ask(Ask::Admit(reviews))?;
    for (at, asked) in asked.iter().enumerate() {
        match answers.get(at) {
            Some(Ok(response)) => asked.heed(response, draft)?,
            Some(Err(why)) => asked.failed(request, why, draft)?,
            None => asked.failed(request, "there was no answer", draft)?,
        }
    }
    Ok(())
}
