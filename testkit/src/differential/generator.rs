//! Cases from a seed: which kind, what is done to its object, and how.

mod mutation;
mod objects;
mod reads;
mod several;

use serde_json::{Value, json};

use super::{Request, Sample};

/// Numbers that follow from a seed alone.
pub struct Seeded(u64);

impl Seeded {
    /// The numbers of one case of a run.
    pub fn new(seed: u64, case: u64) -> Self {
        let mut seeded = Seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ case.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        seeded.next();
        seeded
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of some.
    pub fn pick<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }
}

/// Requests that are made one after the other, in which the first answer that differs tells.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its number in the run.
    pub number: u64,
    /// Whether controllers write to its objects.
    pub driven: bool,
    /// The requests.
    pub requests: Vec<Request>,
    /// What takes away all that they may have left; its answers are not compared.
    pub cleanup: Vec<Request>,
}

impl Case {
    /// Case `number` of a run with `seed` over these kinds, in a namespace of the run.
    pub fn generate(seed: u64, number: u64, samples: &[Sample], namespace: &str) -> Self {
        let mut seeded = Seeded::new(seed, number);
        let kind = seeded.pick(samples);
        let name = format!("{namespace}-case-{number}");
        let sample = kind.named(&name, namespace);
        let collection = sample.collection(namespace);
        let one = format!("{collection}/{}", name_of(&sample.object));
        let place = Place { kind, sample: &sample, namespace, name: &name, collection: &collection, one: &one };
        // What else there is of a kind without namespaces decides where its pages end.
        let choices = if sample.namespaced { 14 } else { 12 };
        let choice = if sample.is_review { 0 } else { seeded.below(choices) };
        let (requests, names) = match choice {
            0..=3 => (vec![place.create(&mut seeded)], Vec::new()),
            4 => (place.made(place.update(&mut seeded)), vec![name.as_str()]),
            5 | 6 => (place.made(place.patch(&mut seeded)), vec![name.as_str()]),
            7 => (place.made(place.read(&mut seeded)), vec![name.as_str()]),
            8 => (place.made(place.delete(&mut seeded)), vec![name.as_str()]),
            9 => (place.made(place.odd(&mut seeded)), vec![name.as_str()]),
            10 => (place.made(place.below(&mut seeded)), vec![name.as_str()]),
            11 => (place.applied(&mut seeded), vec![name.as_str()]),
            _ => return place.several(number, choice == 12, &mut seeded),
        };
        let cleanup = names.into_iter().flat_map(|name| place.gone(name)).collect();
        Case { number, driven: sample.driven, requests, cleanup }
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Where a case works, and on what.
struct Place<'a> {
    /// As the table has it.
    kind: &'a Sample,
    /// The same with the case's name.
    sample: &'a Sample,
    namespace: &'a str,
    name: &'a str,
    collection: &'a str,
    one: &'a str,
}

impl Place<'_> {
    /// The object made before.
    fn made(&self, asked: Vec<Request>) -> Vec<Request> {
        let mut all = vec![Request::json("POST", self.collection, &self.sample.object)];
        all.extend(asked);
        all
    }

    /// Takes away the object that has this name, whatever holds it.
    fn gone(&self, name: &str) -> [Request; 2] {
        let named = self.kind.named(name, self.namespace);
        let one = format!("{}/{}", self.collection, name_of(&named.object));
        let background = format!("{one}?gracePeriodSeconds=0&propagationPolicy=Background");
        let free = json!({"metadata": {"finalizers": null}});
        [Request::bare("DELETE", background), Request::json("PATCH", one, &free).merging()]
    }
}
