//! Objects as the version that is asked for sees them. Most kinds are kept as they are served and cost nothing here;
//! some versions of custom kinds are what a webhook makes of what is kept, and must be waited for.
//!
//! Invariant: nobody waits with the view in his hands: a `Presenter` is taken from the view together with the objects.

use std::collections::VecDeque;
use std::sync::Arc;

use gantry_kinds::KindRef;
use gantry_registry::{Conversion, Lens, Opened, unlistable, unreadable};
use gantry_view::{Change, Object, ObjectKey, View};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::Refusal;
use crate::app::App;
use crate::limits::{CONVERSION_BYTES, CONVERSION_OBJECTS, CONVERTED_CHANGES};
use crate::webhook::Webhooks;

/// Whether objects of the kind are kept otherwise than they are served.
pub(crate) fn differs(kind: KindRef) -> bool {
    kind.version_of.is_some()
}

/// Shows kept objects as one version of their kind.
#[derive(Clone)]
pub(crate) struct Presenter {
    kind: KindRef,
    /// How a custom version sees them; none for a built-in kind.
    lens: Option<Lens>,
    webhooks: Arc<Webhooks>,
    converted: Arc<ConvertedChanges>,
}

/// What an object is to the version, or why it is nothing.
type Shown = Result<Arc<Object>, String>;

impl Presenter {
    /// For a kind that is kept otherwise than it is served; `None` for all others.
    pub(crate) fn of(app: &App, view: &View, kind: KindRef) -> Option<Self> {
        let (webhooks, converted) = (&app.webhooks, &app.converted);
        let make =
            || Presenter { kind, lens: Lens::of(view, kind), webhooks: webhooks.clone(), converted: converted.clone() };
        differs(kind).then(make)
    }

    /// One object for a reader of it.
    pub(crate) async fn one(&self, kept: Arc<Object>) -> Result<Arc<Object>, Refusal> {
        let shown = self.all(std::slice::from_ref(&kept)).await.into_iter().next();
        let shown = shown.unwrap_or_else(|| Ok(kept.clone()));
        shown.map_err(|why| Box::new(unreadable(&kept, &why)))
    }

    /// Objects for a reader of a list.
    pub(crate) async fn list(&self, kept: Vec<Arc<Object>>) -> Result<Vec<Arc<Object>>, Refusal> {
        let (mut whole, mut failed) = (Vec::with_capacity(kept.len()), Vec::new());
        for (kept, shown) in kept.iter().zip(self.all(&kept).await) {
            match shown {
                Ok(shown) => whole.push(shown),
                Err(why) => failed.push((&**kept, why)),
            }
        }
        if failed.is_empty() { Ok(whole) } else { Err(Box::new(unlistable(self.kind, &failed))) }
    }

    /// A change of a kept object for a watcher; watchers of the same version share one conversion, a failure is
    /// nobody else's.
    pub(crate) async fn shared(&self, kept: &Arc<Change>) -> Result<Arc<Change>, Refusal> {
        let Some(lens) = &self.lens else { return self.change(kept).await };
        let cell = self.converted.cell(lens, kept);
        cell.get_or_try_init(|| self.change(kept)).await.cloned()
    }

    async fn change(&self, kept: &Arc<Change>) -> Result<Arc<Change>, Refusal> {
        let sides: Vec<Arc<Object>> = [&kept.before, &kept.after].into_iter().flatten().cloned().collect();
        let mut shown = Vec::with_capacity(sides.len());
        for (kept, side) in sides.iter().zip(self.all(&sides).await) {
            shown.push(side.map_err(|why| Box::new(unreadable(kept, &why)))?);
        }
        let mut shown = shown.into_iter();
        Ok(Arc::new(Change {
            key: ObjectKey { kind: self.kind, ..kept.key.clone() },
            revision: kept.revision,
            before: kept.before.as_ref().and_then(|_| shown.next()),
            after: kept.after.as_ref().and_then(|_| shown.next()),
        }))
    }

    /// Each object in its place: those that a webhook must convert in as few questions as may be.
    async fn all(&self, kept: &[Arc<Object>]) -> Vec<Shown> {
        let Some(lens) = &self.lens else {
            return kept.iter().map(|kept| Ok(self.object(kept, &gantry_registry::present(self.kind, kept)))).collect();
        };
        let mut shown: Vec<Option<Shown>> = Vec::with_capacity(kept.len());
        let mut batches = Batches::default();
        for (at, object) in kept.iter().enumerate() {
            shown.push(match lens.open(object.value()) {
                Opened::Seen(value) => Some(Ok(self.object(object, &value))),
                Opened::Foreign(value) => {
                    batches.add(at, value, object.json().len());
                    None
                }
            });
        }
        let (places, conversions) = batches.questions(lens);
        for (places, answer) in places.into_iter().zip(self.webhooks.convert_all(&conversions).await) {
            match answer {
                Ok(converted) => places.into_iter().zip(converted).for_each(|(at, value)| {
                    shown[at] = Some(Ok(self.object(&kept[at], &lens.close(value))));
                }),
                Err(why) => places.into_iter().for_each(|at| shown[at] = Some(Err(why.clone()))),
            }
        }
        shown.into_iter().map(|shown| shown.unwrap_or_else(|| Err("it was not converted".to_owned()))).collect()
    }

    fn object(&self, kept: &Arc<Object>, value: &Value) -> Arc<Object> {
        // What was read from the store can be read again: only the version of it is another.
        Object::from_value(self.kind, value, kept.header.revision).map_or_else(|_| kept.clone(), Arc::new)
    }
}

/// Objects on their way to a webhook: those of one version together, as many as fit in one question.
#[derive(Default)]
struct Batches {
    open: Vec<Batch>,
}

/// The objects of one question.
struct Batch {
    version: Value,
    bytes: usize,
    places: Vec<usize>,
    objects: Vec<Value>,
}

impl Batches {
    fn add(&mut self, at: usize, value: Value, bytes: usize) {
        let fits = |batch: &&mut Batch| {
            batch.version == value["apiVersion"]
                && batch.objects.len() < CONVERSION_OBJECTS
                && batch.bytes < CONVERSION_BYTES
        };
        match self.open.iter_mut().rev().find(fits) {
            Some(batch) => {
                batch.bytes += bytes;
                batch.places.push(at);
                batch.objects.push(value);
            }
            None => {
                let version = value["apiVersion"].clone();
                self.open.push(Batch { version, bytes, places: vec![at], objects: vec![value] });
            }
        }
    }

    fn questions(self, lens: &Lens) -> (Vec<Vec<usize>>, Vec<Conversion>) {
        self.open.into_iter().map(|batch| (batch.places, lens.conversion(batch.objects))).unzip()
    }
}

/// The last changes of custom objects as versions saw them: watchers of the same version share one conversion.
#[derive(Default)]
pub(crate) struct ConvertedChanges {
    recent: Mutex<VecDeque<Converted>>,
}

struct Converted {
    kept: Arc<Change>,
    lens: Lens,
    shown: Arc<OnceCell<Arc<Change>>>,
}

impl ConvertedChanges {
    fn cell(&self, lens: &Lens, kept: &Arc<Change>) -> Arc<OnceCell<Arc<Change>>> {
        let mut recent = self.recent.lock();
        let same = |converted: &&Converted| Arc::ptr_eq(&converted.kept, kept) && converted.lens.is(lens);
        if let Some(found) = recent.iter().rev().find(same) {
            return found.shown.clone();
        }
        if recent.len() >= CONVERTED_CHANGES {
            recent.pop_front();
        }
        let shown = Arc::<OnceCell<_>>::default();
        recent.push_back(Converted { kept: kept.clone(), lens: lens.clone(), shown: shown.clone() });
        shown
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn questions_hold_objects_of_one_version_and_no_more_than_fit() {
        let mut batches = Batches::default();
        for at in 0..CONVERSION_OBJECTS + 2 {
            batches.add(at, json!({"apiVersion": if at == 1 { "g/v2" } else { "g/v1" }}), 1);
        }
        batches.add(1000, json!({"apiVersion": "g/v2"}), CONVERSION_BYTES);
        batches.add(1001, json!({"apiVersion": "g/v2"}), 1);
        let sizes: Vec<_> = batches.open.iter().map(|batch| (batch.version.clone(), batch.objects.len())).collect();
        let expected = [("g/v1", CONVERSION_OBJECTS), ("g/v2", 2), ("g/v1", 1), ("g/v2", 1)];
        assert_eq!(sizes, expected.map(|(version, count)| (json!(version), count)));
    }
}
