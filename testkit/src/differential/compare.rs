//! Where two normalised answers differ, and which of that is known.

use serde_json::Value;

use super::Request;

/// One place in which two answers differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// As `body.metadata.labels`; elements of lists as `[]`.
    pub place: String,
    /// Null where it is absent.
    pub ours: Value,
    /// Null where it is absent.
    pub upstream: Value,
}

impl Difference {
    /// All places in which two answers differ; answers of another code or kind differ as a whole.
    pub fn all(ours: &Value, upstream: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        if ours["code"] != upstream["code"] || ours["body"]["kind"] != upstream["body"]["kind"] {
            let place = "answer".to_owned();
            return vec![Difference { place, ours: ours.clone(), upstream: upstream.clone() }];
        }
        collect(String::new(), ours, upstream, &mut found);
        found
    }
}

fn collect(place: String, ours: &Value, upstream: &Value, found: &mut Vec<Difference>) {
    match (ours, upstream) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            for name in names {
                collect(format!("{place}.{name}"), &ours[name], &upstream[name], found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                collect(format!("{place}[]"), a, b, found);
            }
        }
        _ if ours != upstream => {
            let place = place.trim_start_matches('.').to_owned();
            found.push(Difference { place, ours: ours.clone(), upstream: upstream.clone() });
        }
        _ => {}
    }
}

/// A difference that is meant, or not closed yet, with its reason.
#[derive(Clone, Debug)]
pub struct Known {
    /// What the request's line holds.
    pub request: String,
    /// How the place begins.
    pub place: String,
    /// What upstream's words hold.
    pub upstream: String,
    /// As docs/compatibility.md has it.
    pub reason: String,
}

impl Known {
    /// The list in a JSON text; each must have a reason.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let rows: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let read = |row: &Value| {
            let field = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let known = Known {
                request: field("request"),
                place: field("place"),
                upstream: field("upstream"),
                reason: field("reason"),
            };
            if known.reason.is_empty() { Err(format!("no reason: {row}")) } else { Ok(known) }
        };
        rows.iter().map(read).collect()
    }

    /// Whether this is the difference meant.
    pub fn covers(&self, request: &Request, difference: &Difference) -> bool {
        format!("{} {}", request.method, request.path).contains(&self.request)
            && difference.place.starts_with(&self.place)
            && difference.upstream.to_string().contains(&self.upstream)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_named_and_known_ones_need_a_reason() {
        let found = Difference::all(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 3}], "c": 4}));
        let places: Vec<&str> = found.iter().map(|difference| difference.place.as_str()).collect();
        assert_eq!(places, ["a[].b", "c"]);
        assert!(Known::list(r#"[{"place": "a"}]"#).is_err());
        let known = Known::list(r#"[{"place": "a", "reason": "meant"}]"#).expect("a list");
        let request = Request::bare("GET", "/");
        assert!(known[0].covers(&request, &found[0]) && !known[0].covers(&request, &found[1]));
    }
}
