//! Admission webhooks: which of them are asked about a request, and what comes of their answers.
//!
//! Those that change an object are asked one after the other, those that check it all at once. No webhook is asked about
//! webhook configurations and policies: what locks a cluster can always be taken away. A webhook that does not answer
//! refuses nothing in the namespaces without which a cluster cannot mend itself.

mod mutation;
mod review;
mod validation;

use gantry_kinds::kinds::admission::webhook::{MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION};
use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::webhooks::{Webhook, Webhooks};
use gantry_kinds::{
    KindRef, MUTATING_ADMISSION_POLICY, MUTATING_ADMISSION_POLICY_BINDING, Status, VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
};
use serde_json::Value;

pub(crate) use self::mutation::{Again, mutate};
pub use self::review::AdmissionReview;
pub(crate) use self::validation::validate;
use super::attributes::Attributes;
use super::matching;
use super::policies::{Inputs, hold};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::custom;

/// The kinds that no webhook is asked about.
static EXEMPT: [KindRef; 6] = [
    &MUTATING_WEBHOOK_CONFIGURATION,
    &VALIDATING_WEBHOOK_CONFIGURATION,
    &VALIDATING_ADMISSION_POLICY,
    &VALIDATING_ADMISSION_POLICY_BINDING,
    &MUTATING_ADMISSION_POLICY,
    &MUTATING_ADMISSION_POLICY_BINDING,
];
/// Namespaces that a webhook which does not answer cannot close.
const KEPT_OPEN: [&str; 2] = ["kube-system", "kube-node-lease"];

/// A webhook that is to be asked, and the version that it is for.
struct Asked<'v> {
    mutating: bool,
    configuration: &'v str,
    webhook: &'v Webhook,
    kind: KindRef,
}

/// The webhooks of one sort, in their order; none for what they are not asked about.
fn all<'v>(
    case: &Case<'v>,
    request: &Attributes<'_>,
    mutating: bool,
) -> impl Iterator<Item = (&'v Webhooks, &'v Webhook)> {
    let exempt = EXEMPT.contains(&request.kind);
    let configurations = case.view.webhooks(mutating).filter(move |_| !exempt);
    configurations.flat_map(|configuration| configuration.all.iter().map(move |webhook| (&**configuration, webhook)))
}

impl<'v> Asked<'v> {
    /// Whether the webhook is for the request.
    fn of(
        case: &Case<'v>,
        request: &Attributes<'_>,
        mutating: bool,
        (configuration, webhook): (&'v Webhooks, &'v Webhook),
        draft: &mut Draft,
    ) -> Result<Option<Self>, Refusal> {
        let Some(kind) = matching::matched(case.view, &webhook.spec, "rules", request) else { return Ok(None) };
        let asked = Asked { mutating, configuration: &configuration.name, webhook, kind };
        if !webhook.conditions().is_empty() {
            let (object, old) = asked.objects(case, request)?;
            let inputs = Inputs::new(case, request, kind);
            let held = hold(webhook.conditions(), &inputs.activation(object.as_ref(), old.as_ref()));
            inputs.settled()?;
            match held {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(_) if !webhook.fails_closed() => return Ok(None),
                Err(why) => {
                    let name = request.name;
                    return Err(Status::forbidden(request.kind, name, &why).into());
                }
            }
        }
        if request.dry_run && !webhook.takes_dry_runs() {
            let text = format!("admission webhook {:?} does not support dry run", webhook.name);
            return Err(Status::bad_request(text).into());
        }
        if webhook.review_version().is_none() {
            asked.failed(request, "webhook does not accept known AdmissionReview versions (v1, v1beta1)", draft)?;
            return Ok(None);
        }
        Ok(Some(asked))
    }

    /// The objects of the request in the version that the webhook is for.
    fn objects(&self, case: &Case<'_>, request: &Attributes<'_>) -> Result<(Option<Value>, Option<Value>), Refusal> {
        let own = request.body.is_object_of(request.kind);
        let converted = |object: Option<&Value>| match object {
            Some(object) if own && self.kind != request.kind => custom::in_version(case, self.kind, object).map(Some),
            object => Ok(object.cloned()),
        };
        Ok((converted(request.object)?, converted(request.old)?))
    }

    /// What it is asked.
    fn review(&self, case: &Case<'_>, request: &Attributes<'_>) -> Result<AdmissionReview, Refusal> {
        let (object, old) = self.objects(case, request)?;
        let mut body = request.request(case, self.kind);
        body["object"] = object.unwrap_or_default();
        body["oldObject"] = old.unwrap_or_default();
        Ok(AdmissionReview {
            configuration: format!("{} {:?}", self.kind_of_configuration(), self.configuration),
            webhook: self.webhook.name.clone(),
            client: self.webhook.spec["clientConfig"].clone(),
            seconds: self.webhook.seconds(),
            version: self.webhook.review_version().unwrap_or_default(),
            mutating: self.mutating,
            request: body,
        })
    }

    fn kind_of_configuration(&self) -> &'static str {
        if self.mutating { MUTATING_WEBHOOK_CONFIGURATION.kind } else { VALIDATING_WEBHOOK_CONFIGURATION.kind }
    }

    /// What comes of a call that failed: nothing, a warning, or the end of the request.
    fn failed(&self, request: &Attributes<'_>, why: &str, draft: &mut Draft) -> Result<(), Refusal> {
        let name = &self.webhook.name;
        if !self.webhook.fails_closed() {
            return Ok(());
        }
        let owner = format!("{} {:?}", self.kind_of_configuration(), self.configuration);
        if KEPT_OPEN.contains(&request.namespace) {
            let namespace = request.namespace;
            draft.warnings.push(format!(
                "admission webhook {name:?} of {owner} failed and was passed over in namespace {namespace:?}: {why}"
            ));
            return Ok(());
        }
        let text = format!("failed calling webhook {name:?}: {why} ({owner} has failurePolicy Fail)");
        Err(Status::internal(text).into())
    }

    /// Whether a response allows the request; else the refusal in its words. Its warnings are told either way.
    fn heed(&self, response: &Value, draft: &mut Draft) -> Result<(), Refusal> {
        let warnings = list_at(response, "/warnings").iter().filter_map(Value::as_str);
        // wire: a warning is one line that says something; others are dropped.
        let warnings = warnings.filter(|text| !text.is_empty() && !text.contains('\n'));
        draft.warnings.extend(warnings.map(str::to_owned));
        if response.get("allowed") == Some(&Value::Bool(true)) {
            return Ok(());
        }
        let mut status = denied(&self.webhook.name, &response["status"]);
        status.warnings = std::mem::take(&mut draft.warnings);
        Err(status.into())
    }
}

/// The refusal of a webhook: its own status, in the name of the webhook, and never a success.
fn denied(webhook: &str, given: &Value) -> Status {
    let denied = format!("admission webhook {webhook:?} denied the request");
    let (message, reason) = (str_at(given, "/message"), str_at(given, "/reason"));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = int_at(given, "/code").and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
    let mut status = Status::new(code, Status::known_reason(reason), message);
    let text = |at: &str| str_at(given, at).to_owned();
    status.causes = list_at(given, "/details/causes")
        .iter()
        .map(|cause| gantry_kinds::Cause {
            reason: str_at(cause, "/reason").to_owned(),
            message: str_at(cause, "/message").to_owned(),
            field: str_at(cause, "/field").to_owned(),
        })
        .collect();
    (status.name, status.group, status.kind) = (text("/details/name"), text("/details/group"), text("/details/kind"));
    status
}
