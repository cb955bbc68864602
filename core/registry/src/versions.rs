//! The versions of the kind that is written, for the books of who manages which fields.

use gantry_kinds::{KindRef, table};
use gantry_schema::{Schema, ssa};
use serde_json::Value;

use crate::case::{Case, Refusal};
use crate::custom;

/// All versions of a request's kind.
pub(crate) struct Versions<'a, 'b>(pub(crate) &'b Case<'a>);

impl Versions<'_, '_> {
    /// The row of a version.
    fn row(&self, api_version: &str) -> Option<KindRef> {
        let kind = self.0.kind();
        if kind.api_version() == api_version {
            return Some(kind);
        }
        if let Some(definition) = self.0.view.definition(kind) {
            let mut all = definition.versions.iter().map(|version| version.kind);
            return all.find(|version| version.api_version() == api_version);
        }
        table::version(kind.home(), api_version)
    }
}

impl ssa::Versions for Versions<'_, '_> {
    type Error = Refusal;

    fn types(&self, api_version: &str) -> Option<(&Schema, &str)> {
        let row = self.row(api_version)?;
        match self.0.view.custom(row) {
            Some(version) => Some((version.types(), row.schema)),
            None => Some((Schema::builtin(), row.schema)),
        }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, Refusal> {
        let kind = self.row(api_version).unwrap_or_else(|| self.0.kind());
        custom::in_version(self.0, kind, object)
    }
}
