//! LimitRanges: what containers, pods and claims get where they ask for nothing, and the bounds of what they may ask.

use gantry_kinds::kinds::pod::demand::{self, Amounts, amounts};
use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LIMIT_RANGE, PERSISTENT_VOLUME_CLAIM, POD, Quantity, Status, Update};
use serde_json::{Map, Value};

use super::named;
use crate::case::{Case, Refusal};
use crate::meta;

/// Where a pod says what it was given.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";
const LISTS: [(&str, &str); 2] = [("containers", "container"), ("initContainers", "init container")];

/// Gives the containers of a new pod what they do not ask for themselves.
pub(super) fn complete(case: &Case<'_>, pod: &mut Value) {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    for item in items(case).iter().filter(|item| str_at(item, "/type") == "Container") {
        for (to, from) in [(&mut limits, "default"), (&mut requests, "defaultRequest")] {
            let given = item.get(from).and_then(Value::as_object).into_iter().flatten();
            for (resource, amount) in given {
                gantry_kinds::tree::set_default(to, resource, amount.clone());
            }
        }
    }
    let mut given = Vec::new();
    for (list, what) in LISTS {
        let containers = meta::map(pod, "spec").get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = str_at(container, "/name").to_owned();
            for (field, defaults, word) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let added = fill(meta::map(container, "resources"), field, defaults);
                if !added.is_empty() {
                    given.push(format!("{} {word} for {what} {name}", added.join(", ")));
                }
            }
        }
    }
    if !given.is_empty() {
        let text = format!("LimitRanger plugin set: {}", given.join("; "));
        meta::map(&mut pod["metadata"], "annotations").insert(ANNOTATION.to_owned(), text.into());
    }
}

/// Fills in what is missing; says what that was.
fn fill(resources: &mut Map<String, Value>, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut added = Vec::new();
    for (resource, amount) in defaults {
        let own = gantry_kinds::tree::child_or_new(resources, field);
        if !gantry_kinds::tree::has(own, resource) {
            own.insert(resource.clone(), amount.clone());
            added.push(resource.clone());
        }
    }
    added
}

/// Refuses what is out of bounds.
pub(super) fn check(case: &Case<'_>, object: &Value, way: Option<Update<'_>>) -> Result<(), Refusal> {
    let checked = match way {
        None => [&POD, &PERSISTENT_VOLUME_CLAIM].contains(&case.kind()),
        Some(Update::Main) => case.kind() == &PERSISTENT_VOLUME_CLAIM,
        Some(Update::Sub(name)) => case.kind() == &POD && name == "resize",
    };
    if !checked || !meta::text(object, "deletionTimestamp").is_empty() {
        return Ok(());
    }
    let mut wrong: Vec<String> = Vec::new();
    for item in items(case) {
        let found = if case.kind() == &POD { of_pod(&item, object) } else { of_claim(&item, object) };
        for text in found {
            if !wrong.contains(&text) {
                wrong.push(text);
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(refusal(case, object, &wrong).into()) }
}

fn refusal(case: &Case<'_>, object: &Value, wrong: &[String]) -> Status {
    let why = if let [one] = wrong { one.clone() } else { format!("[{}]", wrong.join(", ")) };
    named(case, object, &why)
}

/// The limits of all LimitRanges of the namespace.
fn items(case: &Case<'_>) -> Vec<Value> {
    let ranges = case.view.list(&LIMIT_RANGE, Some(&case.target().namespace));
    ranges.flat_map(|range| list_at(&range.value(), "/spec/limits").to_vec()).collect()
}

fn of_pod(item: &Value, pod: &Value) -> Vec<String> {
    match str_at(item, "/type") {
        "Container" => {
            let containers = LISTS.iter().flat_map(|(list, _)| list_at(pod, &format!("/spec/{list}")));
            let bounds = Bounds { item, kind: "Container" };
            let asked =
                |container| (amounts(container, "/resources/requests"), amounts(container, "/resources/limits"));
            containers.map(asked).flat_map(|(requests, limits)| bounds.violated(&requests, &limits)).collect()
        }
        "Pod" => Bounds { item, kind: "Pod" }.violated(&demand::requests(pod), &demand::limits(pod)),
        _ => Vec::new(),
    }
}

fn of_claim(item: &Value, claim: &Value) -> Vec<String> {
    if str_at(item, "/type") != "PersistentVolumeClaim" {
        return Vec::new();
    }
    let bounds = Bounds { item, kind: "PersistentVolumeClaim" };
    let requests = amounts(claim, "/spec/resources/requests");
    let small =
        amounts(item, "/min").into_iter().filter_map(|(name, min)| bounds.min(&name, min, &requests, &Amounts::new()));
    let large = amounts(item, "/max").into_iter().filter_map(|(name, max)| {
        let start = bounds.start("maximum", &name, max);
        match requests.get(&name) {
            None => Some(format!("{start}.  No request is specified")),
            Some(request) => (*request > max).then(|| format!("{start}, but request is {request}")),
        }
    });
    small.chain(large).collect()
}

/// One limit, and what it is about.
struct Bounds<'a> {
    item: &'a Value,
    kind: &'static str,
}

impl Bounds<'_> {
    fn violated(&self, requests: &Amounts, limits: &Amounts) -> Vec<String> {
        let list = |pointer| amounts(self.item, pointer).into_iter();
        let min = list("/min").filter_map(|(name, bound)| self.min(&name, bound, requests, limits));
        let max = list("/max").filter_map(|(name, bound)| self.max(&name, bound, requests, limits));
        let ratio =
            list("/maxLimitRequestRatio").filter_map(|(name, bound)| self.ratio(&name, bound, requests, limits));
        min.chain(max).chain(ratio).collect()
    }

    fn start(&self, word: &str, name: &str, bound: Quantity) -> String {
        format!("{word} {name} usage per {} is {bound}", self.kind)
    }

    fn min(&self, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let start = self.start("minimum", name, bound);
        let Some(request) = requests.get(name) else { return Some(format!("{start}.  No request is specified")) };
        if *request < bound {
            return Some(format!("{start}, but request is {request}"));
        }
        let limit = limits.get(name).filter(|limit| **limit < bound)?;
        Some(format!("{start}, but limit is {limit}"))
    }

    fn max(&self, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let start = self.start("maximum", name, bound);
        let Some(limit) = limits.get(name) else { return Some(format!("{start}.  No limit is specified")) };
        if *limit > bound {
            return Some(format!("{start}, but limit is {limit}"));
        }
        let request = requests.get(name).filter(|request| **request > bound)?;
        Some(format!("{start}, but request is {request}"))
    }

    fn ratio(&self, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
        let start = format!("{name} max limit to request ratio per {} is {bound}", self.kind);
        let given = |amounts: &Amounts| amounts.get(name).filter(|amount| !amount.is_zero()).copied();
        let Some(request) = given(requests) else {
            return Some(format!("{start}, but no request is specified or request is 0"));
        };
        let Some(limit) = given(limits) else {
            return Some(format!("{start}, but no limit is specified or limit is 0"));
        };
        let ratio = limit.milli_value() as f64 / request.milli_value() as f64;
        // The bound is compared in thousandths, as it is kept.
        let exceeds = ratio * 1000.0 > bound.milli_value() as f64;
        exceeds.then(|| format!("{start}, but provided ratio is {ratio:.6}"))
    }
}
