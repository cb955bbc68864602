//! The whole ruleset, kept up to date piece by piece, as text for `nft -f`.
//!
//! Invariants: `full` and the sequence of `changes` after it steer packets alike; each text is one transaction; a
//! chain that picks endpoints stays until the next `full`, because a packet may be on its way into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::Ipv4Addr;

use crate::choose::Target;
use crate::claims::{Claims, Edit};
use crate::element::{Data, Frontend, Group, Key, Verdict, write_element};
use crate::facts::Protocol;

/// Elements in one `add element` command.
const ELEMENTS_PER_COMMAND: usize = 1000;

/// Whose entries these are; a service goes before a pod where both want one port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Service(String, String),
    Pod(String, String),
}

/// The entries of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub elements: BTreeMap<Key, Data>,
    pub chains: BTreeMap<String, Vec<String>>,
    pub sets: BTreeMap<String, String>,
}

/// UDP flows to forget: their endpoint is gone, and a flow of packets without connections would stay there for ever.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Address that clients send to; `None` for any address of the node.
    pub to: Option<Ipv4Addr>,
    /// Port that clients send to.
    pub port: u16,
    /// Endpoint that is gone.
    pub endpoint: Ipv4Addr,
}

pub(crate) struct Table {
    fragments: BTreeMap<Owner, Fragment>,
    elements: Claims<Owner, Key, Data>,
    chains: Claims<Owner, String, Vec<String>>,
    sets: Claims<Owner, String, String>,
    /// The chains that pick one of so many endpoints.
    pickers: BTreeSet<(Group, u16)>,
}

impl Table {
    pub fn new() -> Self {
        Table {
            fragments: BTreeMap::new(),
            elements: Claims::new(),
            chains: Claims::new(),
            sets: Claims::new(),
            pickers: BTreeSet::new(),
        }
    }

    /// Gives an owner new entries in place of those it had.
    pub fn replace(&mut self, owner: &Owner, fragment: Fragment) {
        let before = self.fragments.remove(owner).unwrap_or_default();
        swap(&mut self.elements, owner, &before.elements, &fragment.elements);
        swap(&mut self.chains, owner, &before.chains, &fragment.chains);
        swap(&mut self.sets, owner, &before.sets, &fragment.sets);
        if fragment != Fragment::default() {
            self.fragments.insert(owner.clone(), fragment);
        }
    }

    /// The text that replaces whatever table there is.
    pub fn full(&mut self, base: &str) -> String {
        self.elements.take();
        self.chains.take();
        self.sets.take();
        let mut out = String::from("table ip gantry\ndelete table ip gantry\ntable ip gantry {\n");
        out.push_str(base);
        for (name, body) in self.sets.iter() {
            write_set(&mut out, name, body);
        }
        self.pickers = self.elements.iter().filter_map(|(key, data)| wanted_picker(key, data)).collect();
        for (group, count) in &self.pickers {
            write_chain(&mut out, &group.picker(*count), &group.picker_rules(*count));
        }
        for (name, rules) in self.chains.iter() {
            write_chain(&mut out, name, rules);
        }
        out.push_str("}\n");
        write_additions(&mut out, self.elements.iter());
        out
    }

    /// The text that brings the table from what was last taken to now; `None` where nothing changes.
    pub fn changes(&mut self) -> (Option<String>, Vec<Flow>) {
        let (elements, chains, sets) = (self.elements.take(), self.chains.take(), self.sets.take());
        if elements.is_empty() && chains.is_empty() && sets.is_empty() {
            return (None, Vec::new());
        }
        let mut out = String::new();
        for edit in elements.iter().filter(|edit| edit.before.is_some()) {
            line(&mut out, format_args!("delete element ip gantry {} {{ {} }}", edit.key.map(), edit.key));
        }
        for edit in chains.iter().filter(|edit| edit.before.is_some()) {
            line(&mut out, format_args!("flush chain ip gantry {}", edit.key));
        }
        let after = elements.iter().filter_map(|edit| wanted_picker(&edit.key, edit.after.as_ref()?));
        let pickers: BTreeSet<_> = after.filter(|wanted| !self.pickers.contains(wanted)).collect();
        write_definitions(&mut out, &sets, &chains, &pickers);
        self.pickers.extend(pickers);
        write_additions(&mut out, elements.iter().filter_map(|edit| Some((&edit.key, edit.after.as_ref()?))));
        for edit in chains.iter().filter(|edit| edit.after.is_none()) {
            line(&mut out, format_args!("delete chain ip gantry {}", edit.key));
        }
        for edit in sets.iter().filter(|edit| edit.after.is_none()) {
            line(&mut out, format_args!("delete set ip gantry {}", edit.key));
        }
        let flows = self.flows(&elements);
        (Some(out), flows)
    }

    /// UDP endpoints that a frontend had and has no longer.
    fn flows(&self, edits: &[Edit<Key, Data>]) -> Vec<Flow> {
        let mut flows = Vec::new();
        for edit in edits {
            let (Key::Backend(frontend, _), Some(Data::Target(gone))) = (edit.key, edit.before) else { continue };
            if frontend.protocol == Protocol::Udp && !self.leads_to(frontend, gone) {
                let to = frontend.plane.by_address().then_some(frontend.ip);
                flows.push(Flow { to, port: frontend.port, endpoint: gone.ip });
            }
        }
        flows.sort();
        flows.dedup();
        flows
    }

    fn leads_to(&self, frontend: Frontend, target: Target) -> bool {
        let backends = self.elements.from(&Key::Backend(frontend, 0));
        backends
            .take_while(|(key, _)| matches!(key, Key::Backend(f, _) if *f == frontend))
            .any(|(_, data)| *data == Data::Target(target))
    }
}

fn swap<K: Ord + Clone, V: Clone + PartialEq>(
    claims: &mut Claims<Owner, K, V>,
    owner: &Owner,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
) {
    for key in before.keys().filter(|key| !after.contains_key(key)) {
        claims.release(owner, key);
    }
    for (key, value) in after.iter().filter(|(key, value)| before.get(key) != Some(value)) {
        claims.claim(owner, key, value.clone());
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string");
}

fn write_set(out: &mut String, name: &str, body: &str) {
    line(out, format_args!("\tset {name} {{\n\t\t{body}\n\t}}"));
}

fn write_chain(out: &mut String, name: &str, rules: &[String]) {
    line(out, format_args!("\tchain {name} {{"));
    for rule in rules {
        line(out, format_args!("\t\t{rule}"));
    }
    out.push_str("\t}\n");
}

fn wanted_picker(key: &Key, data: &Data) -> Option<(Group, u16)> {
    match (key, data) {
        (Key::Frontend(frontend), Data::Verdict(Verdict::Pick(count))) => Some((frontend.group(), *count)),
        _ => None,
    }
}

fn write_definitions(
    out: &mut String,
    sets: &[Edit<String, String>],
    chains: &[Edit<String, Vec<String>>],
    pickers: &BTreeSet<(Group, u16)>,
) {
    let mut block = String::new();
    for (group, count) in pickers {
        write_chain(&mut block, &group.picker(*count), &group.picker_rules(*count));
    }
    for edit in sets {
        if let Some(body) = &edit.after {
            write_set(&mut block, &edit.key, body);
        }
    }
    for edit in chains {
        if let Some(rules) = &edit.after {
            write_chain(&mut block, &edit.key, rules);
        }
    }
    if !block.is_empty() {
        line(out, format_args!("table ip gantry {{\n{block}}}"));
    }
}

fn write_additions<'a>(out: &mut String, elements: impl Iterator<Item = (&'a Key, &'a Data)>) {
    let mut open = (String::new(), 0);
    for (key, data) in elements {
        let map = key.map();
        if open.0 != map || open.1 == ELEMENTS_PER_COMMAND {
            if open.1 > 0 {
                out.push_str(" }\n");
            }
            write!(out, "add element ip gantry {map} {{ ").expect("writing to a string");
            open = (map, 0);
        } else {
            out.push_str(", ");
        }
        write_element(out, key, data);
        open.1 += 1;
    }
    if open.1 > 0 {
        out.push_str(" }\n");
    }
}
