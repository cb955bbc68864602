//! `Impersonate-*` headers: acting as somebody else, for those who may.

use gantry_cluster::Cluster;
use gantry_kinds::Status;
use gantry_policy::Attributes;
use gantry_registry::{Answers, User};
use http::HeaderMap;

use super::AUTHENTICATED;
use crate::Refusal;
use crate::query::decode;

const EXTRA: &str = "impersonate-extra-";

/// The user that the request acts as: `user` itself when it names nobody else.
pub(crate) async fn impersonate(
    cluster: &Cluster,
    user: User,
    headers: &HeaderMap,
    answers: &mut Answers,
) -> Result<User, Refusal> {
    let one = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let groups: Vec<String> =
        headers.get_all("impersonate-group").iter().filter_map(|v| Some(v.to_str().ok()?.to_owned())).collect();
    let wanted = User { name: one("impersonate-user"), uid: one("impersonate-uid"), groups, extra: extra(headers) };
    if wanted.name.is_empty() {
        if wanted == User::default() {
            return Ok(user);
        }
        let message = format!("requested {} without impersonating a user name", go_text(&wanted));
        return Err(Box::new(Status::bad_request(message)));
    }
    permit(cluster, &user, &wanted, answers).await?;
    Ok(complete(wanted))
}

fn extra(headers: &HeaderMap) -> Vec<(String, Vec<String>)> {
    let names = headers.keys().filter(|name| name.as_str().starts_with(EXTRA));
    names
        .map(|name| {
            let values = headers.get_all(name).iter().filter_map(|v| Some(v.to_str().ok()?.to_owned())).collect();
            (decode(&name.as_str()[EXTRA.len()..], false), values)
        })
        .collect()
}

/// Every part of the other identity must be allowed.
async fn permit(cluster: &Cluster, user: &User, wanted: &User, answers: &mut Answers) -> Result<(), Refusal> {
    for [group, resource, subresource, namespace, name] in parts(wanted) {
        let by = Attributes::path(user, "impersonate", "");
        let asked = Attributes { group, version: "v1", resource, subresource, namespace, name, ..by };
        gantry_policy::refusal(&asked, &cluster.authorize(&asked, answers).await)?;
    }
    Ok(())
}

/// What an identity is made of: group, resource, subresource, namespace and name of each part.
fn parts(wanted: &User) -> Vec<[&str; 5]> {
    const OTHERS: &str = "authentication.k8s.io";
    let mut parts = vec![match wanted.service_account() {
        Some((namespace, name)) => ["", "serviceaccounts", "", namespace, name],
        None => ["", "users", "", "", &wanted.name],
    }];
    parts.extend(wanted.groups.iter().map(|group| ["", "groups", "", "", group]));
    if !wanted.uid.is_empty() {
        parts.push([OTHERS, "uids", "", "", &wanted.uid]);
    }
    for (key, values) in &wanted.extra {
        parts.extend(values.iter().map(|value| [OTHERS, "userextras", key, "", value]));
    }
    parts
}

/// Groups that follow from the name, where the headers gave none.
fn complete(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = user.service_account()
    {
        user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let marks = [AUTHENTICATED, "system:unauthenticated"];
    if !user.groups.iter().any(|group| marks.contains(&group.as_str())) {
        let mark = if user.name == "system:anonymous" { marks[1] } else { marks[0] };
        user.groups.push(mark.to_owned());
    }
    user
}

/// wire: the message prints the identity as Go does.
fn go_text(user: &User) -> String {
    let list = |texts: &[String]| texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(", ");
    let groups =
        if user.groups.is_empty() { "[]string(nil)".to_owned() } else { format!("[]string{{{}}}", list(&user.groups)) };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<_> = user.extra.iter().map(|(k, v)| format!("{k:?}:[]string{{{}}}", list(v))).collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    format!("&user.DefaultInfo{{Name:\"\", UID:{:?}, Groups:{groups}, Extra:{extra}}}", user.uid)
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    async fn act(user: &User, pairs: &[(&str, &str)]) -> Result<User, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let store = std::sync::Arc::new(gantry_store::MemoryStore::new());
        let setup = gantry_cluster::Setup::new(gantry_registry::Settings::default(), 1);
        let cluster = Cluster::open(store, setup).await.unwrap();
        impersonate(&cluster, user.clone(), &headers, &mut Answers::default()).await
    }

    #[tokio::test]
    async fn only_those_who_may_act_as_others() {
        let admin = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()], ..User::default() };
        let nobody = User { name: "nobody".to_owned(), ..User::default() };
        assert_eq!(act(&nobody, &[]).await.unwrap(), nobody);
        assert_eq!(act(&nobody, &[("Impersonate-User", "bob")]).await.unwrap_err().code, 403);
        let bob = act(&admin, &[("Impersonate-User", "bob"), ("Impersonate-Extra-Foo", "x")]).await.unwrap();
        assert_eq!(
            (bob.groups, bob.extra),
            (vec![AUTHENTICATED.to_owned()], vec![("foo".to_owned(), vec!["x".to_owned()])])
        );
        let account = act(&admin, &[("Impersonate-User", "system:serviceaccount:a:b")]).await.unwrap();
        assert_eq!(account.groups, ["system:serviceaccounts", "system:serviceaccounts:a", AUTHENTICATED]);
        let refused = act(&admin, &[("Impersonate-Group", "bob")]).await.unwrap_err();
        assert!(
            refused.message.starts_with("requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"bob\"}")
        );
    }
}
