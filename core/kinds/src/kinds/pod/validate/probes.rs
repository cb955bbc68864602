//! Probes and lifecycle hooks.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, TCPSocketAction,
};

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules::{self, non_negative};

/// What a handler may do, whoever calls it.
struct Handlers<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<i64>,
}

/// Checks a container's probes.
pub fn check_all(container: &Container, grace: i64, path: &Path, errors: &mut ErrorList) {
    let probes = [
        ("livenessProbe", container.liveness_probe.as_ref()),
        ("readinessProbe", container.readiness_probe.as_ref()),
        ("startupProbe", container.startup_probe.as_ref()),
    ];
    for (field, probe) in probes {
        let Some(probe) = probe else { continue };
        let path = path.child(field);
        check_probe(probe, grace, &path, errors);
        if field == "readinessProbe" {
            if let Some(seconds) = probe.termination_grace_period_seconds {
                let path = path.child("terminationGracePeriodSeconds");
                errors.push(FieldError::invalid(&path, seconds, "must not be set for readinessProbes"));
            }
        } else if let Some(successes) = probe.success_threshold.filter(|s| *s != 1) {
            errors.push(FieldError::invalid(&path.child("successThreshold"), successes, "must be 1"));
        }
    }
}

fn check_probe(probe: &Probe, grace: i64, path: &Path, errors: &mut ErrorList) {
    let handlers = Handlers {
        exec: probe.exec.as_ref(),
        http: probe.http_get.as_ref(),
        tcp: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    check_handlers(&handlers, grace, path, errors);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        non_negative(value.unwrap_or(0), &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|s| *s <= 0) {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&path, seconds, "must be greater than 0"));
    }
}

/// Checks a container's hooks.
pub fn check_lifecycle(lifecycle: Option<&Lifecycle>, grace: i64, path: &Path, errors: &mut ErrorList) {
    let Some(lifecycle) = lifecycle else { return };
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        if let Some(hook) = hook {
            check_handlers(&of_hook(hook), grace, &path.child(field), errors);
        }
    }
}

fn of_hook(hook: &LifecycleHandler) -> Handlers<'_> {
    Handlers {
        exec: hook.exec.as_ref(),
        http: hook.http_get.as_ref(),
        tcp: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref().map(|s| s.seconds),
    }
}

/// Checks that there is one handler, and that it is sound.
fn check_handlers(handlers: &Handlers<'_>, grace: i64, path: &Path, errors: &mut ErrorList) {
    let mut count = 0;
    let mut first = |field: &str, present: bool, errors: &mut ErrorList| {
        if present && count > 0 {
            errors.push(FieldError::forbidden(&path.child(field), "may not specify more than 1 handler type"));
        }
        count += usize::from(present);
        present && count == 1
    };
    if first("exec", handlers.exec.is_some(), errors)
        && let Some(exec) = handlers.exec
        && exec.command.as_ref().is_none_or(Vec::is_empty)
    {
        errors.push(FieldError::required(&path.child("exec").child("command"), ""));
    }
    if first("httpGet", handlers.http.is_some(), errors)
        && let Some(http) = handlers.http
    {
        check_http(http, &path.child("httpGet"), errors);
    }
    if first("tcpSocket", handlers.tcp.is_some(), errors)
        && let Some(tcp) = handlers.tcp
    {
        rules::port_ref(&tcp.port, &path.child("tcpSocket").child("port"), errors);
    }
    if first("grpc", handlers.grpc.is_some(), errors)
        && let Some(grpc) = handlers.grpc
    {
        rules::port_number(grpc.port, &path.child("grpc").child("port"), errors);
    }
    if first("sleep", handlers.sleep.is_some(), errors)
        && let Some(seconds) = handlers.sleep
        && !(0..=grace).contains(&seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(&path.child("sleep"), seconds, detail));
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn check_http(http: &HTTPGetAction, path: &Path, errors: &mut ErrorList) {
    if http.path.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
    }
    rules::port_ref(&http.port, &path.child("port"), errors);
    let scheme = http.scheme.as_deref().unwrap_or_default();
    rules::one_of(scheme, &["HTTP", "HTTPS"], &path.child("scheme"), errors);
    for header in http.http_headers.iter().flatten() {
        rules::each(&header.name, names::http_header_name(&header.name), &path.child("httpHeaders"), errors);
    }
}
