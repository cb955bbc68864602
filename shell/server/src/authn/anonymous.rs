//! Who may ask without saying who he is.

use gantry_registry::User;

/// Where requests without any credential are let in, as the user `system:anonymous`. What he may do there is a matter of
/// authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anonymous {
    /// Nowhere.
    Nowhere,
    /// At these paths and below them.
    At(Vec<String>),
    /// Everywhere, as upstream's server has it where nobody said otherwise.
    Everywhere,
}

impl Anonymous {
    /// Where it is asked whether the server is alive, ready and well.
    pub fn health() -> Self {
        Anonymous::At(["/livez", "/readyz", "/healthz"].map(str::to_owned).to_vec())
    }

    pub(super) fn may_ask(&self, path: &str) -> bool {
        let below = |open: &String| {
            path.strip_prefix(open.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self {
            Anonymous::Nowhere => false,
            Anonymous::At(paths) => paths.iter().any(below),
            Anonymous::Everywhere => true,
        }
    }
}

pub(super) fn user() -> User {
    User { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()], ..User::default() }
}
