//! What a namespace says of where its pods run: labels of their nodes (PodNodeSelector) and taints that they tolerate
//! (PodTolerationRestriction). Where it says nothing a configuration of the cluster does.
//!
//! Invariants: what is merged into a pod is checked afterwards as if the pod had said it itself, also after webhooks.

use std::collections::BTreeMap;

use gantry_kinds::kinds::pod::qos_class;
use gantry_kinds::tree::{int_at, list_at, map_at, str_at};
use gantry_kinds::{NAMESPACE, Status};
use serde_json::{Value, json};

use crate::case::{Case, Refusal};
use crate::meta;

const SELECTOR: &str = "scheduler.alpha.kubernetes.io/node-selector";
const DEFAULTS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const WHITELIST: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
/// The name under which the selector of all namespaces without their own is configured.
const CLUSTER: &str = "clusterDefaultNodeSelector";

/// What holds where a namespace says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Labels of nodes that pods of a namespace may ask for at the most; and under `clusterDefaultNodeSelector` those
    /// that all pods get.
    selectors: BTreeMap<String, Labels>,
    defaults: Vec<Value>,
    whitelist: Vec<Value>,
}

type Labels = BTreeMap<String, String>;

impl Placement {
    /// Reads the configuration of PodNodeSelector. Errors name the field.
    pub fn select_nodes(&mut self, config: &Value) -> Result<(), String> {
        const FIELD: &str = "podNodeSelectorPluginConfig";
        let selectors =
            config[FIELD].as_object().ok_or_else(|| format!("{FIELD}: must map namespaces to selectors"))?;
        let each = selectors.iter().map(|(namespace, selector)| {
            let labels = labels(selector.as_str().unwrap_or_default());
            labels.map(|labels| (namespace.clone(), labels)).map_err(|why| format!("{FIELD}[{namespace}]: {why}"))
        });
        self.selectors = each.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Reads the configuration of PodTolerationRestriction. Errors name the field.
    pub fn restrict_tolerations(&mut self, config: &Value) -> Result<(), String> {
        let of = [str_at(config, "/apiVersion"), str_at(config, "/kind")];
        if of != ["podtolerationrestriction.admission.k8s.io/v1alpha1", "Configuration"] {
            let wanted = "Configuration of podtolerationrestriction.admission.k8s.io/v1alpha1";
            return Err(format!("expected a {wanted}, found {:?} of {:?}", of[1], of[0]));
        }
        (self.defaults, self.whitelist) =
            (list_at(config, "/default").to_vec(), list_at(config, "/whitelist").to_vec());
        Ok(())
    }
}

/// Adds to a new pod the labels of nodes that its namespace asks for.
pub(super) fn select(case: &Case<'_>, pod: &mut Value) -> Result<(), Refusal> {
    let configured = &case.context.settings.placement.selectors;
    let selector = match annotation(case, SELECTOR) {
        Some(text) => labels(&text).map_err(plain)?,
        None => configured.get(CLUSTER).cloned().unwrap_or_default(),
    };
    let refuse = |pod: &Value, why: &str| Err(Status::forbidden(case.kind(), meta::text(pod, "name"), why).into());
    let own: Labels = map_at(pod, "/spec/nodeSelector")
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if selector.iter().any(|(key, value)| own.get(key).is_some_and(|own| own != value)) {
        return refuse(pod, "pod node label selector conflicts with its namespace node label selector");
    }
    let all: Labels = selector.into_iter().chain(own).collect();
    let allowed = configured.get(&case.target().namespace).filter(|allowed| !allowed.is_empty());
    if allowed.is_some_and(|allowed| all.iter().any(|(key, value)| allowed.get(key) != Some(value))) {
        return refuse(pod, "pod node label selector labels conflict with its namespace whitelist");
    }
    if !all.is_empty() {
        meta::map(pod, "spec").insert("nodeSelector".to_owned(), json!(all));
    }
    Ok(())
}

/// Adds to a new or changed pod the tolerations that its namespace gives, and refuses what that does not allow.
pub(super) fn tolerate(case: &Case<'_>, pod: &mut Value, is_new: bool) -> Result<(), Refusal> {
    let configured = &case.context.settings.placement;
    let mut more = match tolerations(case, DEFAULTS)? {
        _ if !is_new => Vec::new(),
        Some(own) => own,
        None => configured.defaults.clone(),
    };
    if qos_class(pod) != "BestEffort" {
        more.push(json!({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}));
    }
    if !more.is_empty() {
        let merged = merged(list_at(pod, "/spec/tolerations").iter().cloned().chain(more).collect());
        meta::map(pod, "spec").insert("tolerations".to_owned(), merged.into());
    }
    let (whitelist, whose) = match tolerations(case, WHITELIST)? {
        Some(own) => (own, "namespace"),
        None => (configured.whitelist.clone(), "cluster"),
    };
    let allowed = |toleration: &Value| whitelist.iter().any(|listed| covers(listed, toleration));
    if whitelist.is_empty() || list_at(pod, "/spec/tolerations").iter().all(allowed) {
        return Ok(());
    }
    let what = "pod tolerations (possibly merged with namespace default tolerations)";
    Err(plain(format!("{what} conflict with its {whose} whitelist")))
}

fn annotation(case: &Case<'_>, name: &str) -> Option<String> {
    let namespace = case.view.get(&NAMESPACE, "", &case.target().namespace)?.value();
    namespace["metadata"]["annotations"].get(name)?.as_str().map(str::to_owned)
}

/// The tolerations in an annotation of the namespace; none where it is empty.
fn tolerations(case: &Case<'_>, name: &str) -> Result<Option<Vec<Value>>, Refusal> {
    let Some(text) = annotation(case, name) else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(Vec::new()));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| plain(format!("annotation {name}: {error}")))
}

/// wire: what is wrong with a namespace's annotation, or with a toleration, is told without a reason.
fn plain(why: String) -> Refusal {
    Status::new(500, "", why).into()
}

/// Reads `a=b,c=d`.
fn labels(text: &str) -> Result<Labels, String> {
    let parts = text.split(',').filter(|_| !text.is_empty());
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("invalid selector: [{part}]"))?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    parts.map(pair).collect()
}

/// The same without those that others cover; of equal ones the first stays.
fn merged(all: Vec<Value>) -> Vec<Value> {
    let same = |a: &Value, b: &Value| covers(a, b) && covers(b, a);
    let spare = |at: usize| {
        let (before, rest) = all.split_at(at);
        before.iter().any(|other| covers(other, &rest[0]))
            || rest[1..].iter().any(|other| covers(other, &rest[0]) && !same(other, &rest[0]))
    };
    (0..all.len()).filter(|at| !spare(*at)).map(|at| all[at].clone()).collect()
}

/// Whether whatever the second tolerates, the first tolerates too.
fn covers(wide: &Value, narrow: &Value) -> bool {
    let exists = str_at(wide, "/operator") == "Exists";
    let (key, effect) = (str_at(wide, "/key"), str_at(wide, "/effect"));
    if key != str_at(narrow, "/key") && !(key.is_empty() && exists) {
        return false;
    }
    if !effect.is_empty() && effect != str_at(narrow, "/effect") {
        return false;
    }
    let seconds = |toleration| int_at(toleration, "/tolerationSeconds");
    let lasts = match (seconds(wide), seconds(narrow)) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => wide >= narrow,
        (Some(_), None) => false,
    };
    lasts && (exists || str_at(narrow, "/operator") != "Exists" && str_at(wide, "/value") == str_at(narrow, "/value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_toleration_stays() {
        let exists = json!({"key": "k", "operator": "Exists"});
        let equal = json!({"key": "k", "operator": "Equal", "value": "v"});
        let short = json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9});
        let long = json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 90});
        let anything = json!({"operator": "Exists"});
        let check = |list: &[&Value], left: &[&Value]| {
            let merged = merged(list.iter().map(|t| (*t).clone()).collect());
            assert_eq!(merged.iter().collect::<Vec<_>>(), left);
        };
        check(&[&equal, &exists], &[&exists]);
        check(&[&exists, &equal, &short], &[&exists]);
        check(&[&short, &long], &[&long]);
        check(&[&long, &long, &equal], &[&long, &equal]);
        check(&[&equal, &anything], &[&anything]);
        assert!(!covers(&equal, &exists) && !covers(&short, &exists));
    }

    #[test]
    fn configurations_are_read_and_faults_are_named() {
        let mut placement = Placement::default();
        let config = json!({"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": "a=b", "web": ""}});
        placement.select_nodes(&config).expect("a configuration");
        assert_eq!(placement.selectors["clusterDefaultNodeSelector"], Labels::from([("a".into(), "b".into())]));
        let wrong = json!({"podNodeSelectorPluginConfig": {"web": "a in (b)"}});
        let why = placement.select_nodes(&wrong).unwrap_err();
        assert_eq!(why, "podNodeSelectorPluginConfig[web]: invalid selector: [a in (b)]");
        assert!(placement.select_nodes(&json!({})).is_err() && placement.restrict_tolerations(&json!({})).is_err());
    }
}
