//! The query options of writes, checked in upstream's order and words.

use gantry_kinds::{FieldError, Path};
use gantry_registry::{FieldValidation, Options};
use serde_json::Value;

use crate::Refusal;
use crate::app::Call;
use crate::query::Query;
use crate::read::options::invalid_options;

/// Which options type a request has, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Update,
    /// PATCH; `true` for server-side apply.
    Patch(bool),
    Delete,
}

impl Verb {
    fn options_kind(self) -> &'static str {
        match self {
            Verb::Create => "CreateOptions",
            Verb::Update => "UpdateOptions",
            Verb::Patch(_) => "PatchOptions",
            Verb::Delete => "DeleteOptions",
        }
    }
}

/// Reads and checks the options of a write.
pub(crate) fn read(call: &Call, verb: Verb) -> Result<Options, Refusal> {
    let mut options = check(&call.query, verb)?;
    if options.field_manager.is_empty() {
        options.field_manager = manager_of(call.user_agent());
    }
    Ok(options)
}

fn check(query: &Query, verb: Verb) -> Result<Options, Refusal> {
    let manager = query.text("fieldManager").unwrap_or_default();
    let mut errors = Vec::new();
    let at = Path::new("fieldManager");
    match verb {
        Verb::Patch(true) if manager.is_empty() => {
            errors.push(FieldError::required(&at, "is required for apply patch"))
        }
        Verb::Patch(false) if query.switch("force").is_some() => {
            errors.push(FieldError::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
        }
        _ => {}
    }
    errors.extend(manager_error(&at, manager));
    let dry_run = query.all("dryRun");
    errors.extend(dry_run_error(&dry_run));
    let validation = field_validation(query.text("fieldValidation").unwrap_or_default(), &mut errors);
    if !errors.is_empty() {
        return Err(invalid_options("meta.k8s.io", verb.options_kind(), "", &errors));
    }
    Ok(Options {
        dry_run: dry_run.iter().any(|d| d == "All"),
        field_manager: manager.to_owned(),
        force: query.on("force"),
        field_validation: validation,
    })
}

fn field_validation(text: &str, errors: &mut Vec<FieldError>) -> FieldValidation {
    match text {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let supported = ["", "Ignore", "Strict", "Warn"];
            errors.push(FieldError::not_supported(&Path::new("fieldValidation"), Value::from(other), &supported));
            FieldValidation::Warn
        }
    }
}

/// The error of a `dryRun` that is not `All`.
pub(crate) fn dry_run_error(values: &[String]) -> Option<FieldError> {
    let wrong = values.iter().any(|value| value != "All");
    wrong.then(|| FieldError::not_supported(&Path::new("dryRun"), Value::from(values.to_vec()), &["All"]))
}

fn manager_error(at: &Path, manager: &str) -> Option<FieldError> {
    if manager.len() > 128 {
        return Some(FieldError::too_long(at, 128));
    }
    let (position, odd) = manager.chars().enumerate().find(|(_, c)| c.is_control())?;
    let detail = format!("invalid character U+{:04X} (at position {position})", odd as u32);
    Some(FieldError::invalid(at, manager, detail))
}

/// wire: who names no manager is called by the first word of the user agent.
fn manager_of(agent: &str) -> String {
    let word = agent.split('/').next().unwrap_or_default();
    word.chars().filter(|c| !c.is_control()).take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(verb: Verb, query: &str) -> String {
        check(&Query::parse(Some(query)), verb).map_or_else(|s| s.message, |_| String::new())
    }

    #[test]
    fn options_are_refused_in_upstreams_words() {
        let head = "CreateOptions.meta.k8s.io \"\" is invalid: ";
        assert_eq!(refused(Verb::Create, "dryRun=All&fieldManager=x&fieldValidation=Strict"), "");
        let dry_run = "dryRun: Unsupported value: [\"Foo\"]: supported values: \"All\"";
        assert_eq!(refused(Verb::Create, "dryRun=Foo"), format!("{head}{dry_run}"));
        let validation =
            "fieldValidation: Unsupported value: \"Foo\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
        assert_eq!(refused(Verb::Create, "fieldValidation=Foo"), format!("{head}{validation}"));
        let long = format!("fieldManager={}", "x".repeat(129));
        assert_eq!(
            refused(Verb::Create, &long),
            format!("{head}fieldManager: Too long: may not be more than 128 bytes")
        );
        let patch = "PatchOptions.meta.k8s.io \"\" is invalid: ";
        let required = "fieldManager: Required value: is required for apply patch";
        assert_eq!(refused(Verb::Patch(true), ""), format!("{patch}{required}"));
        let force = "force: Forbidden: may not be specified for non-apply patch";
        assert_eq!(refused(Verb::Patch(false), "force=true"), format!("{patch}{force}"));
    }

    #[test]
    fn the_manager_comes_from_the_user_agent() {
        assert_eq!(manager_of("kubectl/v1.32.4 (linux/amd64) kubernetes/abc"), "kubectl");
        assert_eq!(manager_of(""), "");
    }
}
