//! Resources that nobody takes where no quota bounds them: a configuration of the cluster names them.

use std::collections::BTreeSet;

use gantry_kinds::quota::{Amounts, covers};
use gantry_kinds::tree::{list_at, map_at, str_at};
use gantry_kinds::{RESOURCE_QUOTA, Status};
use serde_json::{Value, json};

use super::forbidden;
use crate::case::{Case, Refusal};

/// What may be taken only from a quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitedResources(Vec<Limited>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Limited {
    group: String,
    plural: String,
    /// Parts of the names of what is limited.
    contains: Vec<String>,
    /// Scopes in which objects are limited, each as a quota selects by it.
    scopes: Vec<Value>,
}

impl LimitedResources {
    /// Reads a `ResourceQuotaConfiguration`. Errors name the field.
    pub fn parse(config: &Value) -> Result<Self, String> {
        let (version, kind) = (str_at(config, "/apiVersion"), str_at(config, "/kind"));
        let known = ["apiserver.config.k8s.io/v1", "resourcequota.admission.k8s.io/v1beta1"].contains(&version);
        if !known || !["ResourceQuotaConfiguration", "Configuration"].contains(&kind) {
            let wanted = "ResourceQuotaConfiguration of apiserver.config.k8s.io/v1";
            return Err(format!("expected a {wanted}, found {kind:?} of {version:?}"));
        }
        let each = list_at(config, "/limitedResources").iter().enumerate().map(|(at, limited)| {
            let plural = str_at(limited, "/resource").to_owned();
            if plural.is_empty() {
                return Err(format!("limitedResources[{at}].resource: Required value"));
            }
            let contains = list_at(limited, "/matchContains").iter().filter_map(Value::as_str).map(str::to_owned);
            let (group, scopes) = (str_at(limited, "/apiGroup").to_owned(), list_at(limited, "/matchScopes").to_vec());
            Ok(Limited { group, plural, contains: contains.collect(), scopes })
        });
        each.collect::<Result<_, _>>().map(LimitedResources)
    }
}

/// Refuses what no quota bounds: `taken` is what the object uses more than before, `bounded` what quotas that hold it
/// speak of.
pub(super) fn check(case: &Case<'_>, object: &Value, taken: &Amounts, bounded: &BTreeSet<&str>) -> Result<(), Refusal> {
    let kind = case.kind();
    let LimitedResources(all) = &case.context.settings.limited_resources;
    let limits: Vec<&Limited> = all.iter().filter(|l| (&*l.group, &*l.plural) == (kind.group, kind.plural)).collect();
    let limited = |name: &str| limits.iter().any(|limit| limit.contains.iter().any(|part| name.contains(&**part)));
    let missing: Vec<&str> =
        taken.keys().map(String::as_str).filter(|name| limited(name) && !bounded.contains(name)).collect();
    if !missing.is_empty() {
        return Err(forbidden(case, object, &format!("insufficient quota to consume: {}", missing.join(","))));
    }
    let holds = |scope: &Value| covers(&selector(scope), kind, object);
    let mut scopes = limits.iter().flat_map(|limit| &limit.scopes).filter(|scope| holds(scope)).peekable();
    if scopes.peek().is_none() {
        return Ok(());
    }
    let covered = scopes_of_quotas(case, holds);
    let open: Vec<String> = scopes.filter(|scope| !covered.contains(str_at(scope, "/scopeName"))).map(shown).collect();
    if open.is_empty() {
        return Ok(());
    }
    // wire: this is told without a reason.
    Err(Status::new(500, "", format!("insufficient quota to match these scopes: [{}]", open.join(" "))).into())
}

fn selector(scope: &Value) -> Value {
    json!({"scopeSelector": {"matchExpressions": [scope]}})
}

/// The names of scopes by which quotas of the namespace hold the object.
fn scopes_of_quotas(case: &Case<'_>, holds: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let quotas = case.view.list(&RESOURCE_QUOTA, Some(&case.target().namespace)).map(|quota| quota.value());
    let scopes = quotas.flat_map(|quota| {
        let plain = list_at(&quota, "/spec/scopes").iter();
        let plain = plain.map(|name| json!({"scopeName": name, "operator": "Exists"}));
        plain.chain(list_at(&quota, "/spec/scopeSelector/matchExpressions").iter().cloned()).collect::<Vec<_>>()
    });
    scopes.filter(|scope| holds(scope)).map(|scope| str_at(&scope, "/scopeName").to_owned()).collect()
}

/// A scope as upstream prints it.
fn shown(scope: &Value) -> String {
    let values: Vec<&str> = list_at(scope, "/values").iter().filter_map(Value::as_str).collect();
    format!("{{{} {} [{}]}}", str_at(scope, "/scopeName"), str_at(scope, "/operator"), values.join(" "))
}

/// What quotas speak of.
pub(super) fn bounded<'a>(quotas: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    quotas.flat_map(|quota| map_at(quota, "/status/hard").map(|(resource, _)| resource.as_str())).collect()
}
