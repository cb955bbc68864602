//! The part of the ruleset that does not depend on services: the maps' types and the hooks.

use std::fmt::Write;

use crate::element::{Group, Plane};
use crate::net::Params;

const CHAINS: &str = r#"	set hairpin {
		type ipv4_addr . ipv4_addr
	}
	chain refuse {
		meta l4proto tcp reject with tcp reset
		reject with icmp type port-unreachable
	}
	chain dispatch {
		ip daddr . meta l4proto . th dport vmap @services
		ip daddr SERVICES ip daddr . meta l4proto . th dport vmap @services
		fib daddr type local meta l4proto . th dport vmap @ports
		fib daddr type local meta l4proto . th dport vmap @ports
	}
	chain outside {
		ip saddr CLUSTER return
		fib saddr type local return
		ip daddr . meta l4proto . th dport vmap @service-outsides
		fib daddr type local meta l4proto . th dport vmap @port-outsides
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump outside
		goto dispatch
	}
	chain output {
		type nat hook output priority -100; policy accept;
		goto dispatch
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr . ip daddr @hairpin masquerade fully-random
		oifname != "lo" ip saddr 127.0.0.0/8 masquerade fully-random
POSTROUTING	}
	chain martians {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 127.0.0.0/8 iifname != "lo" drop
		ip saddr 127.0.0.0/8 iifname != "lo" drop
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state invalid ip saddr CLUSTER drop
		ip daddr SERVICES goto refuse
	}
	chain egress {
		type filter hook output priority filter; policy accept;
		ip daddr SERVICES fib daddr type != local goto refuse
	}
"#;

/// Declarations of all maps, then the hooks: what a client sends to a service goes through `dispatch`; what still
/// carries a service address after that is refused; answers of pods that belong to no connection are dropped,
/// because their senders' addresses cannot be put back and would reset what they reach; loopback addresses stay closed to
/// the network although node ports answer on them, and nobody outside can pretend to have one: that is looked at before
/// any address is exchanged. `dispatch` looks twice: an element that is being exchanged can be missed by a lookup that
/// began before the exchange, never by one that began after it.
pub(crate) fn text(params: &Params) -> String {
    let mut out = String::new();
    let mut map = |name: String, body: String| {
        writeln!(out, "\tmap {name} {{\n\t\t{body}\n\t}}").expect("writing to a string");
    };
    for plane in Plane::ALL {
        let address = if plane.by_address() { "ipv4_addr . " } else { "" };
        map(plane.frontends(), format!("type {address}inet_proto . inet_service : verdict"));
    }
    for group in Group::all() {
        let (fields, protocol) = (group.fields(), group.protocol);
        map(group.backends(), format!("typeof {fields} . numgen random mod 65536 : ip daddr . {protocol} dport"));
    }
    let chains = CHAINS.replace("CLUSTER", &params.cluster_cidr.to_string());
    let chains = chains.replace("SERVICES", &params.service_cidr.to_string());
    out + &chains.replace("POSTROUTING", &postrouting(params))
}

/// Clients from outside are masqueraded only on their way to an endpoint of another node, whose answer would not
/// come back through this one; pods are masqueraded when they leave the cluster.
fn postrouting(params: &Params) -> String {
    let Some(pods) = params.node_pod_cidr else { return String::new() };
    let cluster = params.cluster_cidr;
    format!(
        "\t\tct status dnat ip saddr != {cluster} fib saddr type != local ip daddr != {pods} masquerade fully-random\n\
         \t\tip saddr {pods} ip daddr != {{ {cluster}, 224.0.0.0/4 }} oifname != \"lo\" masquerade fully-random\n"
    )
}
