//! Contact points and addresses: `host:port`, `ip:port`, `[v6]:port`, or a TCP multiaddr. Parsing
//! is pure; only [`ContactPoint::resolve`] asks the resolver, anew on each try.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// A name server that does not answer must not stop the other contact points.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses taken of one name: a headless service of the largest mesh.
const RESOLVED_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("contact point '{text}': {reason}")]
pub struct Error {
    pub text: String,
    pub reason: String,
}

/// Where a node may be found. Never names a peer id: that is learned from the handshake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactPoint {
    pub host: String,
    pub port: u16,
}

impl ContactPoint {
    /// All socket addresses that it stands for now.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, Error> {
        let Self { host, port } = self;
        let fail = |reason: String| Error { text: self.to_string(), reason };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, *port)]);
        }
        let lookup = tokio::net::lookup_host((host.as_str(), *port));
        let found = tokio::time::timeout(RESOLVE_TIMEOUT, lookup)
            .await
            .map_err(|_| fail(format!("no answer from the resolver in {RESOLVE_TIMEOUT:?}")))?
            .map_err(|error| fail(format!("cannot be resolved: {error}")))?;
        let mut all: Vec<SocketAddr> = found.take(RESOLVED_MAX).collect();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

impl fmt::Display for ContactPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for ContactPoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fail = |reason: &str| Error { text: text.to_owned(), reason: reason.to_owned() };
        if text.starts_with('/') {
            let address: Multiaddr = text.parse().map_err(|_| fail("not a multiaddr"))?;
            return from_multiaddr(&address)
                .ok_or_else(|| fail("expected /ip4|ip6|dns…/HOST/tcp/PORT"));
        }
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(fail("missing port, expected [IPV6]:port"));
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| fail("missing port, expected host:port"))?;
        let port: u16 = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| fail("the port is not a number from 1 to 65535"))?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_address = bare.is_some() && host.parse::<IpAddr>().is_ok();
        if !is_address && (host.is_empty() || host.len() > 253 || !host.chars().all(name_char)) {
            return Err(fail("the host is not a name or an address, expected host:port"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

fn from_multiaddr(address: &Multiaddr) -> Option<ContactPoint> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => ip.to_string(),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.into_owned(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    // A trailing /p2p/… is tolerated and ignored.
    match parts.next() {
        None | Some(Protocol::P2p(_)) => Some(ContactPoint { host, port }),
        Some(_) => None,
    }
}

/// The multiaddr to dial or to listen on.
pub fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// The socket address in a TCP multiaddr, where it has one.
pub fn to_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let ContactPoint { host, port } = from_multiaddr(address)?;
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        text.parse::<ContactPoint>().map(|c| c.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn all_the_ways_to_write_one() {
        for (text, expected) in [
            ("localhost:7441", "localhost:7441"),
            ("10.0.0.1:7441", "10.0.0.1:7441"),
            ("[::1]:7441", "[::1]:7441"),
            ("/ip4/10.0.0.1/tcp/7441", "10.0.0.1:7441"),
            ("/dns4/onrush-headless/tcp/7441", "onrush-headless:7441"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("localhost", "contact point 'localhost': missing port, expected host:port"),
            ("::1", "contact point '::1': missing port, expected [IPV6]:port"),
            ("a:0", "contact point 'a:0': the port is not a number from 1 to 65535"),
            ("a:70000", "contact point 'a:70000': the port is not a number from 1 to 65535"),
            (
                "http://a:1",
                "contact point 'http://a:1': the host is not a name or an address, expected \
                 host:port",
            ),
            (
                "/ip4/1.2.3.4/udp/1",
                "contact point '/ip4/1.2.3.4/udp/1': expected /ip4|ip6|dns…/HOST/tcp/PORT",
            ),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()));
        }
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let contact: ContactPoint = "127.0.0.1:7441".parse().unwrap();
        assert_eq!(contact.resolve().await.unwrap(), ["127.0.0.1:7441".parse().unwrap()]);
        let unknown: ContactPoint = "no-such-host.invalid:7441".parse().unwrap();
        assert!(unknown.resolve().await.unwrap_err().to_string().contains("cannot be resolved"));
    }
}
