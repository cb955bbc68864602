//! A request that another server answers: sent on with who asks, and its answer sent back as it comes.

use std::sync::Arc;

use gantry_registry::User;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::Remote;
use crate::Refusal;
use crate::app::{App, Call};
use crate::proxy;
use crate::respond::{self, Answer, BodyError};

/// Sends a request on, and answers with what comes back.
pub(crate) async fn pass_on(
    app: &Arc<App>,
    call: &Call,
    remote: &Remote,
    mut request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    if !remote.available {
        return Ok(respond::text(503, "service unavailable\n"));
    }
    let gauge = app.metrics.long_running(&call.asked);
    let upgrades = request.headers().contains_key(UPGRADE);
    let client = upgrades.then(|| request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>()).flatten();
    let (parts, body) = request.into_parts();
    let mut headers = proxy::passed_on(&parts.headers, upgrades);
    introduce(&mut headers, &call.user);
    let host = format!("{}:{}", remote.behind.host(), remote.behind.port);
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(respond::internal)?);
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let body = body.map_err(BodyError::from).boxed_unsync();
    let mut outgoing = Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = target.parse().map_err(respond::internal)?;
    *outgoing.headers_mut() = headers;
    let sender = app.aggregation.connect(&app.cluster, &app.tunnels, &remote.behind).await;
    let mut sender = match sender {
        Ok(sender) => sender,
        Err(why) => return Ok(unreachable(&why)),
    };
    let response = match sender.send_request(outgoing).await {
        Ok(response) => response,
        Err(error) => return Ok(unreachable(&error.to_string())),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(proxy::switched(app, client, response, gauge));
    }
    let (parts, body) = response.into_parts();
    // The gauge and the connection live as long as the answer.
    let counted = body.map_frame(move |frame| {
        let _open = (&gauge, &sender);
        frame
    });
    let mut answer = Response::new(counted.map_err(BodyError::from).boxed_unsync());
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = proxy::passed_on(&parts.headers, false);
    Ok(answer)
}

fn unreachable(why: &str) -> Answer {
    respond::text(503, format!("error trying to reach service: {why}\n"))
}

/// Says who asks, and takes away whatever a client might have said of it.
fn introduce(headers: &mut HeaderMap, user: &User) {
    let claimed = headers.keys().filter(|name| {
        let name = name.as_str();
        name.starts_with("x-remote-") || name.starts_with("impersonate-")
    });
    for name in claimed.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers.remove(AUTHORIZATION);
    let mut add = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(name, value);
        }
    };
    add(HeaderName::from_static("x-remote-user"), &user.name);
    if !user.uid.is_empty() {
        add(HeaderName::from_static("x-remote-uid"), &user.uid);
    }
    for group in &user.groups {
        add(HeaderName::from_static("x-remote-group"), group);
    }
    for (key, values) in &user.extra {
        let Ok(name) = HeaderName::try_from(format!("x-remote-extra-{}", escaped(key))) else { continue };
        for value in values {
            add(name.clone(), value);
        }
    }
}

/// A key as it can stand in the name of a header.
fn escaped(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
    key.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_says_himself_who_he_is() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "root"),
            ("x-remote-group", "system:masters"),
            ("accept", "*/*"),
            ("x-remote-extra-a", "b"),
            ("authorization", "Bearer x"),
            ("impersonate-user", "y"),
            ("x-remote-uid", "7"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let extra = vec![("example.com/Scope".to_owned(), vec!["one".to_owned(), "two".to_owned()])];
        let user = User {
            name: "jane".to_owned(),
            groups: vec!["devs".to_owned(), "all".to_owned()],
            extra,
            ..User::default()
        };
        introduce(&mut headers, &user);
        let mut got: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        got.sort();
        let expected = [
            "accept=*/*",
            "x-remote-extra-example.com%2fscope=one",
            "x-remote-extra-example.com%2fscope=two",
            "x-remote-group=all",
            "x-remote-group=devs",
            "x-remote-user=jane",
        ];
        assert_eq!(got, expected);
    }
}
