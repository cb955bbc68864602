//! Numbers that may also be written as a share of a whole, such as `25%`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::field::{ErrorList, FieldError, Path};
use crate::rules::non_negative;

/// Whether the text is digits and a percent sign.
pub fn is_percent(text: &str) -> bool {
    text.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()))
}

/// The number in `5` or `5%`.
pub fn number(value: Option<&IntOrString>) -> i64 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => i64::from(*number),
        Some(IntOrString::String(text)) => {
            let digits = if is_percent(text) { text.trim_end_matches('%') } else { text };
            digits.parse().unwrap_or(0)
        }
    }
}

/// A number that is not below zero, or a share.
pub fn check(value: Option<&IntOrString>, path: &Path, errors: &mut ErrorList) {
    match value {
        Some(IntOrString::Int(number)) => non_negative(*number, path, errors),
        Some(IntOrString::String(text)) if !is_percent(text) => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                '93%', regex used for validation is '[0-9]+%')";
            errors.push(FieldError::invalid(path, text.as_str(), detail));
        }
        _ => {}
    }
}

/// A share is not more than the whole.
pub fn check_whole(value: Option<&IntOrString>, path: &Path, errors: &mut ErrorList) {
    if let Some(IntOrString::String(text)) = value
        && is_percent(text)
        && number(value) > 100
    {
        errors.push(FieldError::invalid(path, text.as_str(), "must not be greater than 100%"));
    }
}
