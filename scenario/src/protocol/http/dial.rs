//! From a URL to a stream of bytes: name resolution, TCP, proxies, TLS. What is spoken over the
//! stream is another matter. ✖ IO.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use rustls_pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::{Connection, Failure, Told};
use super::h1::{self, H1, Io, Scratch};
use super::http2::Http2;
use super::local;
use super::proxy::Route;
use super::tls;
use super::url::Url;
use crate::protocol::{ConnectionEvent, Host};
use crate::time::Micros;

/// Names that are remembered at a time.
const NAMES_MAX: usize = 1_000;
/// How long a resolved name is believed.
const NAME_LIFE: Micros = 30_000_000;

/// As ALPN names it.
const HTTP2: &[u8] = b"h2";

/// Addresses, and until when they are believed.
type Resolved = (Micros, Vec<SocketAddr>);

/// Names that have been looked up.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(Arc<str>, u16), Resolved>);

impl Names {
    fn get(&self, key: &(Arc<str>, u16), now: Micros) -> Option<Vec<SocketAddr>> {
        self.0.get(key).filter(|(until, _)| now < *until).map(|(_, known)| known.clone())
    }

    fn keep(&mut self, key: (Arc<str>, u16), now: Micros, addresses: &[SocketAddr]) {
        if self.0.len() >= NAMES_MAX {
            self.0.clear();
        }
        self.0.insert(key, (now + NAME_LIFE, addresses.to_vec()));
    }
}

/// `hostNameAliases`: names whose addresses the simulation gives.
pub(super) type Aliases = HashMap<String, Vec<IpAddr>>;

/// How a user connects.
#[derive(Clone)]
pub(super) struct Dial<'a> {
    pub source: Option<IpAddr>,
    /// Of the connection, and of each handshake over it.
    pub timeout: Micros,
    /// By a proxy, or with a line of its own ahead.
    pub route: Option<&'a Route>,
    /// Offered where there is TLS.
    pub http2: bool,
    /// A proxy that would forward HTTP is asked for a tunnel all the same: for other protocols.
    pub tunnel: bool,
    pub aliases: &'a Aliases,
    /// With `perUserNameResolution`: the user's, in place of the thread's.
    pub names: Option<Rc<RefCell<Names>>>,
}

/// A stream that is ready for the protocol of its URL.
pub(super) struct Stream {
    pub io: Box<dyn Io>,
    /// What was connected to: the target or the proxy.
    pub address: SocketAddr,
    /// Both sides have agreed on HTTP/2.
    pub http2: bool,
}

/// What opens connections on one thread.
pub(super) struct Dialer {
    tls: TlsConnector,
    /// Offers HTTP/2 as well.
    tls_http2: TlsConnector,
    names: Rc<RefCell<Names>>,
    /// Targets that were offered HTTP/2 and did not take it.
    plain: RefCell<HashSet<(Arc<str>, u16)>>,
    scratch: Scratch,
}

impl Dialer {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new() -> Result<Self, String> {
        let mut config = tls::trusting_config()?;
        let tls = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols.insert(0, HTTP2.to_vec());
        let tls_http2 = TlsConnector::from(Arc::new(config));
        let (names, plain) = (Rc::default(), RefCell::default());
        Ok(Self { tls, tls_http2, names, plain, scratch: h1::scratch() })
    }

    /// Such a target will hardly speak HTTP/2 next time.
    pub(super) fn is_plain(&self, url: &Url) -> bool {
        self.plain.borrow().contains(&(Arc::clone(&url.host), url.port))
    }

    fn learn(&self, url: &Url, http2: bool) {
        let (mut plain, key) = (self.plain.borrow_mut(), (Arc::clone(&url.host), url.port));
        if http2 {
            plain.remove(&key);
            return;
        }
        if plain.len() >= NAMES_MAX {
            plain.clear();
        }
        plain.insert(key);
    }

    /// A connection that speaks HTTP.
    ///
    /// # Errors
    /// As Gatling words it, without the JVM's class names.
    pub(super) async fn connect(
        &self,
        url: &Url,
        dial: Dial<'_>,
        host: &Rc<dyn Host>,
    ) -> Result<Connection, Failure> {
        let (timeout, offers) = (dial.timeout, dial.http2);
        let Stream { io, address, http2 } = self.open(url, dial, host).await?;
        let told = Told::of(host);
        if offers {
            self.learn(url, http2);
        }
        if !http2 {
            return Ok(Connection::http1(H1::new(io, Rc::clone(&self.scratch), told), address));
        }
        let limit = Duration::from_micros(timeout);
        let codec = tokio::time::timeout(limit, Http2::new(io, told)).await;
        let timed_out =
            || Failure::Text(format!("HTTP/2 preface timed out after {} ms", limit.as_millis()));
        let codec = codec.unwrap_or_else(|_| Err(timed_out()))?;
        Ok(Connection::http2(codec, address))
    }

    /// The stream alone, for whatever is spoken over it. The host is told of it; who takes the
    /// stream tells it of the end.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub(super) async fn open(
        &self,
        url: &Url,
        dial: Dial<'_>,
        host: &Rc<dyn Host>,
    ) -> Result<Stream, Failure> {
        let outcome = self.reach(url, &dial, host.now()).await;
        host.connection(match &outcome {
            Ok(_) => ConnectionEvent::Opened,
            Err(Failure::Text(text)) if text.starts_with(local::MARK) => {
                ConnectionEvent::LocalFault
            }
            Err(_) => ConnectionEvent::Failed,
        });
        outcome
    }

    async fn reach(&self, url: &Url, dial: &Dial<'_>, now: Micros) -> Result<Stream, Failure> {
        if let Some(route) = dial.route {
            // Boxed: what few connections need shall not make every one's future larger.
            return Box::pin(self.by_route(url, route, dial, now)).await;
        }
        let (stream, address) = self.tcp(&url.host, url.port, dial, now).await?;
        self.to_target(url, dial, stream, address).await
    }

    async fn by_route(
        &self,
        url: &Url,
        route: &Route,
        dial: &Dial<'_>,
        now: Micros,
    ) -> Result<Stream, Failure> {
        let proxy = route.proxy_to(&url.host);
        let (host, port) = proxy.map_or((&url.host, url.port), |it| (&it.host, it.port));
        let (mut stream, address) = self.tcp(host, port, dial, now).await?;
        let own = stream.local_addr().map_err(|error| Failure::Text(error.to_string()))?;
        if let Some(line) = route.header_line(own, address) {
            // So short a line fits any socket that is new.
            stream
                .write_all(line.as_bytes())
                .await
                .map_err(|error| Failure::Text(error.to_string()))?;
        }
        let Some(proxy) = proxy else {
            return self.to_target(url, dial, stream, address).await;
        };
        let io: Box<dyn Io> = if proxy.is_secure() {
            Box::new(handshake(&self.tls, &proxy.host, stream, dial.timeout).await?)
        } else {
            Box::new(stream)
        };
        if route.forwards(url).is_some() && !dial.tunnel {
            return Ok(Stream { io, address, http2: false });
        }
        let limit = Duration::from_micros(dial.timeout);
        let io = tokio::time::timeout(limit, proxy.tunnel(url, address, io))
            .await
            .map_err(|_| proxy.timeout(url, address))??;
        self.to_target(url, dial, io, address).await
    }

    /// With TLS, where the scheme asks for it.
    async fn to_target(
        &self,
        url: &Url,
        dial: &Dial<'_>,
        io: impl Io + 'static,
        address: SocketAddr,
    ) -> Result<Stream, Failure> {
        if !url.secure {
            return Ok(Stream { io: Box::new(io), address, http2: false });
        }
        let tls = if dial.http2 { &self.tls_http2 } else { &self.tls };
        let stream = handshake(tls, &url.host, io, dial.timeout).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(Stream { io: Box::new(stream), address, http2 })
    }

    async fn tcp(
        &self,
        name: &Arc<str>,
        port: u16,
        dial: &Dial<'_>,
        now: Micros,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let mut addresses = self.resolve(name, port, dial, now).await?;
        order(&mut addresses, &mut rand::rng());
        let limit = Duration::from_micros(dial.timeout);
        let mut last = Failure::Text(format!("{name}: no address"));
        for address in addresses {
            let connecting = connect(dial.source, address);
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(stream)) => {
                    // A socket that cannot be told so is only slower.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Ok(Err(error)) => last = Failure::Text(connect_text(&error, address)),
                Err(_) => {
                    let millis = dial.timeout / 1_000;
                    let text = format!("connection timed out after {millis} ms: {name}/{address}");
                    last = Failure::Text(text);
                }
            }
        }
        Err(last)
    }

    /// Off this thread, by the system's resolver; remembered for a while.
    async fn resolve(
        &self,
        name: &Arc<str>,
        port: u16,
        dial: &Dial<'_>,
        now: Micros,
    ) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = bare(name).parse() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if let Some(given) = dial.aliases.get(&**name) {
            return Ok(given.iter().map(|ip| SocketAddr::new(*ip, port)).collect());
        }
        let names = dial.names.as_ref().unwrap_or(&self.names);
        let key = (Arc::clone(name), port);
        if let Some(known) = names.borrow().get(&key, now) {
            return Ok(known);
        }
        let found = tokio::net::lookup_host((&**name, port)).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(addresses) => addresses.collect(),
            Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(Failure::Text(format!("{name}: Name or service not known")));
        }
        names.borrow_mut().keep(key, now, &addresses);
        Ok(addresses)
    }
}

/// Which address of a name is tried first, anew for each connection: all of them get their part of the
/// load. Those of IPv4 come before those of IPv6, as on the JVM.
fn order(addresses: &mut [SocketAddr], rng: &mut impl rand::Rng) {
    if addresses.len() > 1 {
        addresses.shuffle(rng);
        addresses.sort_by_key(SocketAddr::is_ipv6);
    }
}

async fn handshake<S: Io>(
    tls: &TlsConnector,
    host: &str,
    stream: S,
    timeout: Micros,
) -> Result<TlsStream<S>, Failure> {
    let name = ServerName::try_from(bare(host).to_owned())
        .map_err(|error| Failure::Text(format!("{host}: {error}")))?;
    let limit = Duration::from_micros(timeout);
    tokio::time::timeout(limit, tls.connect(name, stream))
        .await
        .map_err(|_| {
            let millis = limit.as_millis();
            Failure::Text(format!("handshake timed out after {millis}ms"))
        })?
        .map_err(|error| Failure::Text(tls::why(&error)))
}

/// Without the brackets of IPv6.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A source of the other family does not apply.
async fn connect(source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source.filter(|it| it.is_ipv4() == to.is_ipv4()) else {
        return TcpStream::connect(to).await;
    };
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(to).await
}

/// What the target refused, and what this machine could not do.
fn connect_text(error: &io::Error, to: SocketAddr) -> String {
    local::fault(error, to).unwrap_or_else(|| {
        let code = error.raw_os_error().unwrap_or(0);
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        format!("finishConnect(..) failed with error(-{code}): {text}")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    /// Once every connection went to the first.
    #[test]
    fn each_address_of_a_name_gets_its_part_of_the_connections() {
        let given =
            ["[::1]:80", "10.0.0.1:80", "10.0.0.2:80", "[::2]:80", "10.0.0.3:80", "10.0.0.4:80"];
        let given = given.map(|text| text.parse::<SocketAddr>().unwrap());
        let (mut rng, mut first, mut last) =
            (SmallRng::seed_from_u64(1), BTreeMap::new(), BTreeMap::new());
        for _ in 0..4_000 {
            let mut all = given;
            order(&mut all, &mut rng);
            *first.entry(all[0]).or_insert(0) += 1;
            *last.entry(all[5]).or_insert(0) += 1;
            assert!(all[..4].iter().all(SocketAddr::is_ipv4), "{all:?}");
        }
        assert_eq!((first.len(), last.len()), (4, 2));
        assert!(first.values().all(|count| (900..1_100).contains(count)), "{first:?}");
        assert!(last.values().all(|count| (1_900..2_100).contains(count)), "{last:?}");
    }
}
