//! `/dial`: a connection to an address that this node reaches, such as a pod's. Its two directions are the bodies of
//! the question and of the answer.

use std::net::{IpAddr, SocketAddr};

use http::Response;
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::answer::{Answer, Refusal};
use super::port;
use crate::limits::DIAL;

/// Answers with what the address says.
pub(super) async fn answer(query: &[(String, String)], body: Incoming) -> Result<Answer, Refusal> {
    let address = address(query).ok_or_else(|| Refusal::new(400, "an address needs an ip and a port"))?;
    let refuse = |why: String| Refusal::new(502, format!("dial tcp {address}: {why}"));
    let stream = match tokio::time::timeout(DIAL, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(refuse(words(&error))),
        Err(_) => return Err(refuse("i/o timeout".to_owned())),
    };
    // Small requests must not wait for more.
    let _ = stream.set_nodelay(true);
    Ok(Response::new(port::join(stream, body)))
}

fn address(query: &[(String, String)]) -> Option<SocketAddr> {
    let one = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    Some(SocketAddr::new(one("ip")?.parse::<IpAddr>().ok()?, one("port")?.parse().ok()?))
}

/// wire: clients show these words to people who know them from elsewhere.
fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        _ => format!("connect: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ips_with_a_port() {
        let pairs = |ip: &str, port: &str| vec![("ip".to_owned(), ip.to_owned()), ("port".to_owned(), port.to_owned())];
        assert_eq!(address(&pairs("10.1.0.2", "80")), Some(SocketAddr::from(([10, 1, 0, 2], 80))));
        assert!(address(&pairs("fd00::1", "80")).is_some_and(|address| address.is_ipv6()));
        for (ip, port) in [("localhost", "80"), ("10.1.0.2", "0x"), ("10.1.0.2", "70000"), ("", "")] {
            assert_eq!(address(&pairs(ip, port)), None, "{ip} {port}");
        }
    }
}
