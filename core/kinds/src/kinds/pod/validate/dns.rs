//! How a pod resolves names, and what its hosts file adds.

use k8s_openapi::api::core::v1::PodSpec;

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;

const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;

/// The policy is one of four.
pub fn check_policy(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let policy = spec.dns_policy.as_deref().unwrap_or_default();
    let known = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    rules::required_one_of(policy, &known, &path.child("dnsPolicy"), errors);
}

/// The pod's own resolver settings.
pub fn check_config(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        if none {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            errors.push(FieldError::required(path, detail));
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let servers_path = path.child("nameservers");
    if none && servers.is_empty() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(&servers_path, detail));
    }
    if servers.len() > NAMESERVERS_MAX {
        let detail = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(&servers_path, servers.to_vec(), detail));
    }
    for (at, server) in servers.iter().enumerate() {
        rules::each(server, names::ip(server), &servers_path.index(at), errors);
    }
    check_searches(config.searches.as_deref().unwrap_or_default(), &path.child("searches"), errors);
    for (at, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(FieldError::required(&path.child("options").index(at), "must not be empty"));
        }
    }
}

fn check_searches(searches: &[String], path: &Path, errors: &mut ErrorList) {
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(path, searches.to_vec(), detail));
    }
    if searches.join(" ").len() > SEARCH_CHARACTERS_MAX {
        let detail =
            format!("must not have more than {SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(path, searches.to_vec(), detail));
    }
    for (at, search) in searches.iter().enumerate() {
        let plain = search.strip_suffix('.').unwrap_or(search);
        if search != "." {
            rules::each(search, names::dns_subdomain_with_underscores(plain), &path.index(at), errors);
        }
    }
}

/// Lines for the hosts file.
pub fn check_aliases(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (at, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = path.index(at);
        rules::each(&alias.ip, names::ip(&alias.ip), &path.child("ip"), errors);
        for (at, name) in alias.hostnames.iter().flatten().enumerate() {
            rules::each(name, names::dns_subdomain(name), &path.child("hostnames").index(at), errors);
        }
    }
}
