//! The authorizers in their order. The first that says yes or no decides; where none does, it may not be done.
//!
//! Invariants: `system:masters` may do everything, whatever is configured; a webhook's word is asked for once per
//! decision and found by the whole question; an authorizer that fails says what its failure policy says.

use gantry_view::View;

use crate::attributes::{Attributes, User, Verdict};
use crate::rule::Rule;
use crate::webhook::{Question, Webhook};
use crate::{node, rbac};

/// Whose members may do everything.
const MASTERS: &str = "system:masters";

/// One authorizer, with the name that it goes by in what is said and counted.
#[derive(Debug)]
pub struct Link {
    /// Its name; reasons begin with it.
    pub name: String,
    /// What it is.
    pub authorizer: Authorizer,
}

/// What there is to ask.
#[derive(Debug)]
pub enum Authorizer {
    /// What nodes may do.
    Node,
    /// Roles and bindings.
    Rbac,
    /// Says yes.
    AlwaysAllow,
    /// Has nothing to say for anybody.
    AlwaysDeny,
    /// Somebody outside.
    Webhook(Box<Webhook>),
}

/// The authorizers that are asked, in their order.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
}

impl Default for Chain {
    fn default() -> Self {
        let link = |name: &str, authorizer| Link { name: name.to_owned(), authorizer };
        Chain { links: vec![link("node", Authorizer::Node), link("rbac", Authorizer::Rbac)] }
    }
}

/// What a user may do, as far as authorizers can tell without being asked about one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Whether there may be more that he may do.
    pub incomplete: bool,
    /// What could not be told.
    pub error: String,
}

/// What is known of webhooks' answers: a verdict, or why there is none.
pub type Known<'k> = &'k dyn Fn(&Question) -> Option<Result<Verdict, String>>;

impl Chain {
    /// The authorizers in that order.
    pub fn new(links: Vec<Link>) -> Self {
        Chain { links }
    }

    /// The authorizers.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// May this be done? Ends with a question where a webhook must be asked first.
    pub fn decide(&self, view: &View, asked: &Attributes<'_>, known: Known<'_>) -> Result<Verdict, Box<Question>> {
        Ok(self.trace(view, asked, known)?.0)
    }

    /// The same, with the authorizer that decided; `None` where none did.
    pub fn trace(
        &self,
        view: &View,
        asked: &Attributes<'_>,
        known: Known<'_>,
    ) -> Result<(Verdict, Option<&Link>), Box<Question>> {
        if asked.user.is_in(MASTERS) {
            return Ok((Verdict::allowed(""), None));
        }
        let (mut reasons, mut errors) = (Vec::new(), Vec::new());
        for link in &self.links {
            let verdict = link.authorizer.decide(view, asked, &link.name, known)?;
            if !verdict.is_open() {
                return Ok((verdict, Some(link)));
            }
            if !verdict.reason.is_empty() {
                reasons.push(format!("{}: {}", link.name, verdict.reason));
            }
            if !verdict.error.is_empty() {
                errors.push(verdict.error);
            }
        }
        Ok((Verdict { reason: reasons.join("\n"), error: joined(&errors), ..Verdict::default() }, None))
    }

    /// What `user` may do in `namespace`.
    pub fn rules(&self, view: &View, user: &User, namespace: &str) -> Resolved {
        let star = || vec!["*".to_owned()];
        let (mut resolved, mut errors) = (Resolved::default(), Vec::new());
        let silent = |what: &str| format!("{what} authorizer does not support user rule resolution");
        for link in &self.links {
            match &link.authorizer {
                Authorizer::Node if user.node().is_some() => errors.push(silent("node")),
                Authorizer::Webhook(_) => errors.push(silent("webhook")),
                Authorizer::Node | Authorizer::AlwaysDeny => continue,
                Authorizer::AlwaysAllow => {
                    let everywhere = Rule { verbs: star(), urls: star(), ..Rule::default() };
                    let all = Rule { verbs: star(), groups: star(), resources: star(), ..Rule::default() };
                    resolved.rules.extend([all, everywhere]);
                    continue;
                }
                Authorizer::Rbac => {
                    let (rules, missing) = rbac::resolve(view, user, namespace);
                    resolved.rules.extend(rules);
                    errors.extend((!missing.is_empty()).then(|| joined(&missing)));
                    continue;
                }
            }
            resolved.incomplete = true;
        }
        resolved.error = joined(&errors);
        resolved
    }
}

/// What went wrong, in one line.
fn joined(errors: &[String]) -> String {
    match errors {
        [] => String::new(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl Authorizer {
    fn decide(
        &self,
        view: &View,
        asked: &Attributes<'_>,
        name: &str,
        known: Known<'_>,
    ) -> Result<Verdict, Box<Question>> {
        Ok(match self {
            Authorizer::Node => match asked.user.node() {
                Some(node) => node::authorize(view, node, asked),
                None => Verdict::none(""),
            },
            Authorizer::Rbac => rbac::authorize(view, asked),
            Authorizer::AlwaysAllow => Verdict::allowed(""),
            Authorizer::AlwaysDeny => Verdict::none("Everything is forbidden."),
            Authorizer::Webhook(webhook) => webhook.decide(name, asked, known)?,
        })
    }
}
