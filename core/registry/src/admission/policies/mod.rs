//! Admission policies: what they say of a request, and what comes of it.
//!
//! Policies are asked in the order of their names, their bindings in the order of theirs. What a policy costs is
//! bounded for each of its expressions and for all of them together; one that exceeds it fails as any error does, and
//! `failurePolicy` says whether that refuses the request. No policy is asked about policies and their bindings.

mod conditions;
mod inputs;
mod mutation;
mod parameters;
mod patches;
pub(crate) mod permits;
mod rights;
mod validation;

use std::sync::Arc;

use gantry_kinds::policies::{Binding, Policy};
use gantry_kinds::{
    KindRef, MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING, VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
};
use serde_json::Value;

use super::attributes::Attributes;
use super::matching;
use crate::case::{Case, Refusal};

pub(super) use conditions::hold;
pub(super) use inputs::Inputs;
pub(crate) use mutation::{Again, mutate};
pub(crate) use validation::validate;

/// The kinds that no policy is asked about: nobody is to lock himself out.
static EXEMPT: [KindRef; 4] = [
    &VALIDATING_ADMISSION_POLICY,
    &VALIDATING_ADMISSION_POLICY_BINDING,
    &MUTATING_ADMISSION_POLICY,
    &MUTATING_ADMISSION_POLICY_BINDING,
];

/// One time that a policy is to be evaluated.
struct Invocation<'v> {
    policy: &'v Arc<Policy>,
    binding: &'v Arc<Binding>,
    /// The version that the policy asked for.
    kind: KindRef,
    parameter: Option<Arc<Value>>,
}

/// A policy that cannot be evaluated at all.
struct Misconfigured<'v> {
    policy: &'v Arc<Policy>,
    binding: Option<&'v Arc<Binding>>,
    why: String,
}

type Plan<'v> = Vec<Result<Invocation<'v>, Misconfigured<'v>>>;

/// Which policies are for the request, under which bindings, with which parameters.
fn plan<'v>(case: &Case<'v>, request: &Attributes<'_>, mutating: bool) -> Result<Plan<'v>, Refusal> {
    let mut plan = Plan::new();
    if EXEMPT.contains(&request.kind) {
        return Ok(plan);
    }
    for policy in case.view.policies(mutating) {
        let constraints = &policy.spec["matchConstraints"];
        let Some(kind) = matching::matched(case.view, constraints, "resourceRules", request) else { continue };
        let kind_of_parameters = match parameters::kind(case, policy) {
            Ok(kind) => kind,
            Err(why) => {
                plan.push(Err(Misconfigured { policy, binding: None, why }));
                continue;
            }
        };
        for binding in case.view.bindings(policy) {
            let resources = &binding.spec["matchResources"];
            if !resources.is_null() && matching::matched(case.view, resources, "resourceRules", request).is_none() {
                continue;
            }
            match parameters::of(case, binding, kind_of_parameters, request)? {
                Ok(all) => {
                    plan.extend(all.into_iter().map(|parameter| Ok(Invocation { policy, binding, kind, parameter })));
                }
                Err(why) => plan.push(Err(Misconfigured { policy, binding: Some(binding), why })),
            }
        }
    }
    Ok(plan)
}

impl Misconfigured<'_> {
    fn why(&self) -> String {
        format!("failed to configure {}: {}", if self.binding.is_some() { "binding" } else { "policy" }, self.why)
    }
}
