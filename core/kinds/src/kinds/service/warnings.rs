//! What a client is warned of in a Service.

use serde_json::Value;

use crate::tree::{list_at, str_at};

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";

/// Warnings about a Service.
pub fn service(new: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if new.pointer("/metadata/annotations").is_some_and(|a| a.get(HINTS).is_some()) {
        let instead = "service.kubernetes.io/topology-mode";
        warnings.push(format!("annotation {HINTS} is deprecated, please use {instead} instead"));
    }
    if !list_at(new, "/spec/externalIPs").is_empty() {
        let text = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
        warnings.push(text.to_owned());
    }
    if str_at(new, "/spec/clusterIP") == "None" && !str_at(new, "/spec/loadBalancerIP").is_empty() {
        warnings.push("spec.loadBalancerIP is ignored for headless services".to_owned());
    }
    if str_at(new, "/spec/type") != "ExternalName" && !str_at(new, "/spec/externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if str_at(new, "/spec/trafficDistribution") == "PreferClose" {
        let text = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
        warnings.push(text.to_owned());
    }
    warnings
}
