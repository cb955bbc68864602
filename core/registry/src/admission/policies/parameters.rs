//! The parameters of a binding: objects of the kind that the policy names.

use std::sync::Arc;

use gantry_kinds::policies::{Binding, Policy};
use gantry_kinds::tree::str_at;
use gantry_kinds::{KindRef, LabelSelector};
use gantry_view::Object;
use serde_json::Value;

use crate::admission::attributes::Attributes;
use crate::admission::matching::labels;
use crate::case::{Case, Refusal};
use crate::{custom, lens};

/// The kind of a policy's parameters, if it has any.
pub(super) fn kind(case: &Case<'_>, policy: &Policy) -> Result<Option<KindRef>, String> {
    let Some((api_version, kind)) = policy.parameter_kind() else { return Ok(None) };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let found = case.view.by_kind(group, version, kind);
    let unknown = || format!("failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind}'");
    found.map(Some).ok_or_else(unknown)
}

/// What the policy is to be evaluated with, once for each; an error of the binding where that cannot be told.
#[allow(clippy::type_complexity)]
pub(super) fn of(
    case: &Case<'_>,
    binding: &Binding,
    kind: Option<KindRef>,
    request: &Attributes<'_>,
) -> Result<Result<Vec<Option<Arc<Value>>>, String>, Refusal> {
    let reference = binding.spec.get("paramRef").filter(|reference| !reference.is_null());
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(Ok(vec![None])) };
    let namespace = match (kind.namespaced, str_at(reference, "/namespace")) {
        (true, "") if request.namespace.is_empty() => {
            let why = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources";
            return Ok(Err(why.to_owned()));
        }
        (true, "") => request.namespace,
        (false, given) if !given.is_empty() => {
            return Ok(Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()));
        }
        (_, given) => given,
    };
    let found: Vec<&Arc<Object>> = match reference.get("selector").filter(|selector| !selector.is_null()) {
        None => case.view.get(kind.home(), namespace, str_at(reference, "/name")).into_iter().collect(),
        Some(selector) => match LabelSelector::from_value(selector) {
            Ok(selector) => {
                let all = case.view.list(kind.home(), Some(namespace));
                all.filter(|object| selector.matches(&labels(&object.value()))).collect()
            }
            Err(why) => return Ok(Err(why)),
        },
    };
    if found.is_empty() && str_at(reference, "/parameterNotFoundAction") != "Allow" {
        return Ok(Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()));
    }
    let seen = found.into_iter().map(|object| Ok(Some(Arc::new(present(case, kind, object)?))));
    seen.collect::<Result<Vec<_>, Refusal>>().map(Ok)
}

fn present(case: &Case<'_>, kind: KindRef, object: &Object) -> Result<Value, Refusal> {
    if kind.is_custom() { custom::in_version(case, kind, &object.value()) } else { Ok(lens::present(kind, object)) }
}
