//! A request as text, and the few ways to make one.

use std::fmt;

use serde_json::Value;

/// One request; `$RV`, `$UID` and `$NEXT` in its body and path stand for what the server said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of HTTP.
    pub method: &'static str,
    /// With its query.
    pub path: String,
    /// Beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// May be empty, and need not be JSON.
    pub body: String,
}

impl Request {
    /// One without a body, whose answer is JSON.
    pub fn bare(method: &'static str, path: impl Into<String>) -> Self {
        let headers = vec![("Accept", "application/json".to_owned())];
        Request { method, path: path.into(), headers, body: String::new() }
    }

    /// One with a body of this type.
    pub fn with(method: &'static str, path: impl Into<String>, content: &str, body: impl Into<String>) -> Self {
        let mut request = Request { body: body.into(), ..Self::bare(method, path) };
        request.headers.push(("Content-Type", content.to_owned()));
        request
    }

    /// One with a JSON body.
    pub fn json(method: &'static str, path: impl Into<String>, body: &Value) -> Self {
        Self::with(method, path, "application/json", body.to_string())
    }

    /// The same as a merge patch.
    #[must_use]
    pub fn merging(mut self) -> Self {
        for (name, value) in &mut self.headers {
            if *name == "Content-Type" {
                "application/merge-patch+json".clone_into(value);
            }
        }
        self
    }

    /// The same, wanting another form of answer.
    #[must_use]
    pub fn accepting(mut self, accept: &str) -> Self {
        self.headers[0].1 = accept.to_owned();
        self
    }

    /// The same with what stands for the server's own words filled in.
    #[must_use]
    pub fn filled(&self, resource_version: &str, uid: &str, next: &str) -> Self {
        let fill =
            |text: &str| text.replace("$RV", resource_version).replace("$UID", uid).replace("$NEXT", &escaped(next));
        Request { path: fill(&self.path), body: fill(&self.body), ..self.clone() }
    }

    /// Whether it makes an object, which nobody else can have touched when it is answered.
    pub fn makes(&self) -> bool {
        self.method == "POST"
    }
}

/// A token as a query has it.
fn escaped(token: &str) -> String {
    token.replace('+', "%2B").replace('=', "%3D")
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (name, value) in self.headers.iter().filter(|(_, value)| value != "application/json") {
            write!(f, " [{name}: {value}]")?;
        }
        if self.body.is_empty() { Ok(()) } else { write!(f, "\n    {}", self.body) }
    }
}
