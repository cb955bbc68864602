//! Names of signers: a domain and a path, `example.com/name`.

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;

/// Checks the name of a signer.
pub fn check(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let parts: Vec<&str> = name.split('/').collect();
    let [domain, rest] = parts.as_slice() else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, detail));
        return;
    };
    let labels: Vec<&str> = domain.split('.').collect();
    let short = labels.len() < 2;
    let of = |label: &str, wrong: Vec<String>| {
        wrong
            .into_iter()
            .map(move |w| format!("validating label {}: {w}", crate::field::quote(label)))
            .collect::<Vec<_>>()
    };
    for label in labels {
        rules::each(domain, of(label, names::dns_label(label)), path, errors);
    }
    if short {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, *domain, detail));
    }
    rules::each(rest, of(rest, names::dns_subdomain(rest)), path, errors);
}
