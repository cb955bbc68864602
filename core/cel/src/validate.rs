//! What is wrong with an expression though its types are right: literals that can never be read, collections of
//! unlike parts, templates that do not fit what is put into them.

use crate::ast::{Call, Element, Entry, Expr, Id, Kind, Literal};
use crate::check::Checked;
use crate::library::template;
use crate::types::Type;
use crate::{deep, pattern, time};

/// The nodes that are wrong, and why.
pub(crate) fn validate(root: &Expr, checked: &Checked) -> Vec<(Id, String)> {
    let mut validator = Validator { checked, found: Vec::new() };
    validator.expr(root, false);
    validator.found
}

struct Validator<'c> {
    checked: &'c Checked,
    found: Vec<(Id, String)>,
}

impl Validator<'_> {
    fn expr(&mut self, expr: &Expr, in_template: bool) {
        deep::deeper(|| self.node(expr, in_template));
    }
    fn node(&mut self, expr: &Expr, in_template: bool) {
        match &expr.kind {
            Kind::Literal(_) | Kind::Ident(_) | Kind::Wrong => {}
            Kind::Select(select) => self.expr(&select.operand, in_template),
            Kind::Call(call) => {
                self.call(expr.id, call);
                let in_template = in_template || &*call.function == "format";
                call.target.iter().chain(&call.args).for_each(|e| self.expr(e, in_template));
            }
            Kind::List(elements) => {
                if !in_template {
                    self.list(elements);
                }
                elements.iter().for_each(|e| self.expr(&e.value, in_template));
            }
            Kind::Map(entries) => {
                if !in_template {
                    self.map(entries);
                }
                entries.iter().flat_map(|e| [&e.key, &e.value]).for_each(|e| self.expr(e, in_template));
            }
            Kind::Struct(made) => made.fields.iter().for_each(|f| self.expr(&f.value, in_template)),
            Kind::Fold(fold) => {
                let parts = [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result];
                parts.into_iter().for_each(|e| self.expr(e, in_template));
            }
        }
    }
    fn call(&mut self, id: Id, call: &Call) {
        let Some(last) = call.args.last() else { return };
        if let Kind::Literal(Literal::String(text)) = &last.kind {
            let wrong = match (&*call.function, call.args.len(), call.target.is_some()) {
                ("duration", 1, false) => time::parse_duration(text).is_none(),
                ("timestamp", 1, false) => time::parse_timestamp(text).is_none(),
                ("matches", 1, true) | ("matches", 2, false) => pattern::ready(text).is_err(),
                _ => false,
            };
            if wrong {
                self.found.push((last.id, format!("invalid {} argument", call.function)));
            }
        }
        if let (Kind::Literal(Literal::Int(seconds)), "timestamp") = (&last.kind, &*call.function)
            && time::Instant::from_seconds(*seconds).is_none()
        {
            self.found.push((last.id, "invalid timestamp argument".to_owned()));
        }
        if let (Some(Expr { kind: Kind::Literal(Literal::String(text)), .. }), Kind::List(elements)) =
            (&call.target, &last.kind)
            && &*call.function == "format"
        {
            self.template(id, text, elements);
        }
    }
    fn template(&mut self, id: Id, text: &str, elements: &[Element]) {
        let mut types = elements.iter().map(|e| (e.value.id, self.ty(&e.value)));
        let mut used = 0;
        let problem = template::clauses(text, |clause| {
            let (at, ty) = types.next().ok_or_else(|| (id, format!("index {used} out of range")))?;
            used += 1;
            clause.check(&ty).map_err(|message| (at, message))
        });
        match problem {
            Err((at, message)) => self.found.push((at.unwrap_or(id), message)),
            Ok(()) if used < elements.len() => {
                let message = "too many arguments supplied to string.format";
                self.found.push((id, format!("{message} (expected {used}, got {})", elements.len())));
            }
            Ok(()) => {}
        }
    }
    fn ty(&self, expr: &Expr) -> Type {
        self.checked.types.get(&expr.id).cloned().unwrap_or(Type::Dyn)
    }
    fn part(&self, expr: &Expr, optional: bool) -> Type {
        match self.ty(expr) {
            Type::Optional(of) if optional => (*of).clone(),
            ty => ty,
        }
    }
    fn unlike(&mut self, id: Id, wanted: &Type, found: &Type) -> bool {
        if wanted != found {
            self.found.push((id, format!("expected type '{wanted}' but found '{found}'")));
        }
        wanted != found
    }
    fn list(&mut self, elements: &[Element]) {
        let Some((first, rest)) = elements.split_first() else { return };
        let wanted = self.part(&first.value, first.optional);
        for element in rest {
            let found = self.part(&element.value, element.optional);
            if self.unlike(element.value.id, &wanted, &found) {
                return;
            }
        }
    }
    fn map(&mut self, entries: &[Entry]) {
        let Some((first, rest)) = entries.split_first() else { return };
        let (key, value) = (self.ty(&first.key), self.part(&first.value, first.optional));
        for entry in rest {
            self.unlike(entry.key.id, &key, &self.ty(&entry.key));
            self.unlike(entry.value.id, &value, &self.part(&entry.value, entry.optional));
        }
    }
}
