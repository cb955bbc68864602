//! Which objects a list holds: the view as it is, or as it was at a revision that the change feed still reaches back
//! to; and which of them are on this page.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_cluster::{Cluster, Topic, WatchFrom};
use gantry_kinds::KindRef;
use gantry_view::{Object, ObjectKey, View};

use super::options::{ListOptions, Selection, too_large};
use super::present::{self, Presenter};
use super::token::Token;
use crate::Refusal;
use crate::app::App;

/// Objects of a list, and the revision that they are of.
pub(crate) struct Page {
    pub objects: Vec<Arc<Object>>,
    pub revision: u64,
    /// Where the next page begins.
    pub next: Option<Token>,
    /// How many objects come after this page, where that is known cheaply.
    pub remaining: Option<usize>,
}

/// All objects that are selected now. Of a kind that is kept otherwise than it is served, all that may be selected, as
/// they are kept: `show` goes on from there.
pub(crate) fn select(view: &View, kind: KindRef, namespace: Option<&str>, selection: &Selection) -> Vec<Arc<Object>> {
    if present::differs(kind) {
        let name = selection.fields.exact("metadata.name");
        let kept = view.list(kind.home(), namespace).filter(|kept| name.is_none_or(|name| name == kept.name()));
        return kept.cloned().collect();
    }
    let fits = |object: &&Arc<Object>| namespace.is_none_or(|ns| ns == object.namespace()) && selection.matches(object);
    if let (Some(name), Some(namespace)) = (selection.fields.exact("metadata.name"), namespace) {
        return view.get(kind, namespace, name).into_iter().filter(fits).cloned().collect();
    }
    for (path, _) in kind.selectable.iter().filter(|(path, _)| view.is_indexed(kind, path)) {
        if let Some(value) = selection.fields.exact(path) {
            return view.by_field(kind, path, value).filter(fits).cloned().collect();
        }
    }
    view.list(kind, namespace).filter(fits).cloned().collect()
}

/// What `select` found, as it is served.
pub(crate) async fn show(
    presenter: Option<&Presenter>,
    found: Vec<Arc<Object>>,
    selection: &Selection,
) -> Result<Vec<Arc<Object>>, Refusal> {
    let Some(presenter) = presenter else { return Ok(found) };
    let mut shown = presenter.list(found).await?;
    shown.retain(|object| selection.matches(object));
    Ok(shown)
}

/// The page that the options ask for; `Err(None)` when the revision is too long ago.
pub(crate) async fn collect(
    app: &App,
    kind: KindRef,
    namespace: Option<&str>,
    options: &ListOptions,
    exact: Option<u64>,
) -> Result<Page, Option<Refusal>> {
    let (cluster, selection) = (&app.cluster, &options.selection);
    let at = options.token.as_ref().map_or(exact, |token| token.revision);
    let (mut objects, presenter, now) = {
        let view = cluster.view();
        (select(&view, kind, namespace, selection), Presenter::of(app, &view, kind), view.revision())
    };
    let revision = at.unwrap_or(now);
    if revision > now {
        return Err(Some(too_large(revision, now)));
    }
    if revision < now {
        if revision < cluster.horizon() {
            return Err(None);
        }
        // What was selected of objects that are still to be shown, they tell themselves.
        let matches = |object: &Object| presenter.is_some() || selection.matches(object);
        objects = rewind(cluster, kind, namespace, matches, objects, (revision, now)).ok_or(None)?;
    }
    let across = kind.namespaced && namespace.is_none();
    if selection.is_everything() {
        // Only what is on the page needs to be shown.
        let page = cut(objects, revision, across, options);
        return Ok(Page { objects: show(presenter.as_ref(), page.objects, selection).await?, ..page });
    }
    let objects = show(presenter.as_ref(), objects, selection).await?;
    Ok(cut(objects, revision, across, options))
}

/// The page of these objects that the options ask for; `across` namespaces a place in the list has both names.
pub(crate) fn cut(mut objects: Vec<Arc<Object>>, revision: u64, across: bool, options: &ListOptions) -> Page {
    if let Some(token) = &options.token {
        objects.retain(|object| token.before(object, across));
    }
    let rest = if options.limit > 0 { objects.len().saturating_sub(options.limit) } else { 0 };
    objects.truncate(objects.len() - rest);
    let next = objects.last().filter(|_| rest > 0).map(|last| Token::after(last, Some(revision), across));
    let remaining = (rest > 0 && options.selection.is_everything()).then_some(rest);
    Page { objects, revision, next, remaining }
}

/// Undoes what changed after revision `span.0` up to `span.1`, at which `objects` are; `None` when the feed does not
/// reach back.
fn rewind(
    cluster: &Cluster,
    kind: KindRef,
    namespace: Option<&str>,
    matches: impl Fn(&Object) -> bool,
    objects: Vec<Arc<Object>>,
    span: (u64, u64),
) -> Option<Vec<Arc<Object>>> {
    let home = kind.home();
    let topic = namespace.map_or(Topic::Kind(home), |namespace| Topic::Namespace(home, namespace.into()));
    let mut feed = cluster.watch(topic, WatchFrom::After(span.0)).ok()?;
    let mut then: BTreeMap<ObjectKey, Option<Arc<Object>>> = BTreeMap::new();
    while let Some(change) = feed.try_next().ok()?.filter(|change| change.revision <= span.1) {
        // The first change of an object knows what it was before all of them.
        then.entry(change.key.clone()).or_insert_with(|| change.before.clone());
    }
    let mut all: BTreeMap<ObjectKey, Arc<Object>> = objects.into_iter().map(|o| (o.key().clone(), o)).collect();
    for (key, before) in then {
        match before.filter(|object| matches(object)) {
            Some(object) => all.insert(key, object),
            None => all.remove(&key),
        };
    }
    Some(all.into_values().collect())
}

#[cfg(test)]
mod tests {
    use gantry_kinds::NAMESPACE;
    use serde_json::json;

    use super::*;

    fn objects(names: &[&str]) -> Vec<Arc<Object>> {
        let make = |name: &&str| Object::from_value(&NAMESPACE, &json!({"metadata": {"name": name}}), 1).unwrap();
        names.iter().map(|name| Arc::new(make(name))).collect()
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let all = ["a", "b", "c", "d", "e"];
        let (mut token, mut seen) = (None, Vec::new());
        loop {
            let options = ListOptions { limit: 2, token, ..ListOptions::default() };
            let page = cut(objects(&all), 9, false, &options);
            seen.extend(page.objects.iter().map(|o| o.name().to_owned()));
            assert_eq!(page.remaining.unwrap_or(0), all.len() - seen.len());
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
    }
}
