//! Ways to a target that are not the straight one: by a proxy (HTTP, HTTPS, SOCKS 4a and 5), and
//! with the PROXY protocol's line ahead (version 1). ✖ IO in the handshakes.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_socks::tcp::{Socks4Stream, Socks5Stream};

use super::body::text_of;
use super::connection::Failure;
use super::h1::Io;
use super::request::to_value;
use super::spec::{HttpProtocolSpec, ProxyKind, ProxySpec, RequestSpec};
use super::url::Url;
use crate::expr::{Compiled, EvalCtx};
use crate::session::Session;

/// Of a proxy's answer to CONNECT.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

/// Compiled; only where there is something to it.
pub(super) struct RouteTemplate {
    proxy: Option<ProxyTemplate>,
    except: Rc<[Box<str>]>,
    source_v4: Option<Compiled>,
    source_v6: Option<Compiled>,
}

struct ProxyTemplate {
    kind: ProxyKind,
    host: Arc<str>,
    port: u16,
    credentials: Option<[Compiled; 2]>,
    headers: Vec<(HeaderName, Compiled)>,
}

/// The way of one user's request.
#[derive(Debug)]
pub(super) struct Route {
    /// Tells ways apart: connections are reused on the same one only.
    pub key: Rc<str>,
    proxy: Option<Proxy>,
    except: Rc<[Box<str>]>,
    source_v4: Option<Ipv4Addr>,
    source_v6: Option<Ipv6Addr>,
}

#[derive(Debug)]
pub(super) struct Proxy {
    kind: ProxyKind,
    pub host: Arc<str>,
    pub port: u16,
    login: Option<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl RouteTemplate {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(
        spec: &RequestSpec,
        protocol: &HttpProtocolSpec,
    ) -> Result<Option<Box<Self>>, String> {
        let proxy = spec.proxy.as_ref().or(protocol.proxy.as_ref());
        let HttpProtocolSpec { proxy_protocol_source_v4, proxy_protocol_source_v6, .. } = protocol;
        let sources = [proxy_protocol_source_v4, proxy_protocol_source_v6];
        if proxy.is_none() && sources.iter().all(|it| it.is_none()) {
            return Ok(None);
        }
        let [source_v4, source_v6] = sources.map(|it| it.as_ref().map(Compiled::new).transpose());
        Ok(Some(Box::new(Self {
            proxy: proxy.map(ProxyTemplate::compile).transpose()?,
            except: protocol.no_proxy_for.iter().map(|it| it.to_ascii_lowercase().into()).collect(),
            source_v4: source_v4?,
            source_v6: source_v6?,
        })))
    }

    /// # Errors
    /// As the expressions; a source that is no address.
    pub(super) fn build(
        &self,
        session: &Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<Rc<Route>, String> {
        let proxy = match &self.proxy {
            Some(proxy) => Some(proxy.build(session, eval)?),
            None => None,
        };
        let mut source = |expr: &Option<Compiled>| {
            expr.as_ref().map(|expr| text_of(expr, session, eval)).transpose()
        };
        let (v4, v6) = (source(&self.source_v4)?, source(&self.source_v6)?);
        let key = format!("{proxy:?} {v4:?} {v6:?}").into();
        let wrong = |text: &str, kind: &str| {
            format!("the PROXY protocol's source {text:?} is no IP{kind} address")
        };
        let source_v4 = v4.map(|it| it.parse().map_err(|_| wrong(&it, "v4"))).transpose()?;
        let source_v6 = v6.map(|it| it.parse().map_err(|_| wrong(&it, "v6"))).transpose()?;
        let except = Rc::clone(&self.except);
        Ok(Rc::new(Route { key, proxy, except, source_v4, source_v6 }))
    }
}

impl ProxyTemplate {
    fn compile(spec: &ProxySpec) -> Result<Self, String> {
        let header = |it: &super::spec::Header| {
            let name = HeaderName::from_bytes(it.name.trim().as_bytes())
                .map_err(|_| format!("{:?} is not a header name", it.name))?;
            Ok::<_, String>((name, Compiled::new(&it.value)?))
        };
        let credentials = spec
            .credentials
            .as_ref()
            .map(|it| Ok::<_, String>([Compiled::new(&it.user)?, Compiled::new(&it.password)?]));
        Ok(Self {
            kind: spec.kind,
            host: spec.host.to_ascii_lowercase().into(),
            port: spec.port,
            credentials: credentials.transpose()?,
            headers: spec.connect_headers.iter().map(header).collect::<Result<_, _>>()?,
        })
    }

    fn build(&self, session: &Session, eval: &mut EvalCtx<'_>) -> Result<Proxy, String> {
        let login = match &self.credentials {
            Some([user, password]) => {
                Some((text_of(user, session, eval)?, text_of(password, session, eval)?))
            }
            None => None,
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value = text_of(value, session, eval)?;
            let value = to_value(value.trim(), || format!("connectHeader {name}"))?;
            headers.push((name.clone(), value));
        }
        let (kind, host, port) = (self.kind, Arc::clone(&self.host), self.port);
        Ok(Proxy { kind, host, port, login, headers })
    }
}

impl Route {
    /// The proxy to that host, unless `noProxyFor` spares it.
    pub(super) fn proxy_to(&self, host: &str) -> Option<&Proxy> {
        let spared = || self.except.iter().any(|it| **it == *host);
        self.proxy.as_ref().filter(|_| !spared())
    }

    /// Such a proxy is sent the whole request, and asks the target itself.
    pub(super) fn forwards(&self, url: &Url) -> Option<&Proxy> {
        self.proxy_to(&url.host).filter(|it| !url.secure && !it.is_socks())
    }

    /// The PROXY protocol's line to that peer, where the simulation gives a source of its family.
    pub(super) fn header_line(&self, own: SocketAddr, peer: SocketAddr) -> Option<String> {
        let (family, source) = match peer {
            SocketAddr::V4(_) => ("TCP4", self.source_v4?.to_string()),
            SocketAddr::V6(_) => ("TCP6", self.source_v6?.to_string()),
        };
        let (to, port) = (peer.ip(), peer.port());
        Some(format!("PROXY {family} {source} {to} {} {port}\r\n", own.port()))
    }
}

impl Proxy {
    pub(super) fn is_secure(&self) -> bool {
        self.kind == ProxyKind::Https
    }

    fn is_socks(&self) -> bool {
        matches!(self.kind, ProxyKind::Socks4 | ProxyKind::Socks5)
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        let (user, password) = self.login.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    /// As Gatling words it.
    fn failure(&self, url: &Url, address: SocketAddr, why: &str) -> Failure {
        let (kind, scheme) = match self.kind {
            ProxyKind::Http | ProxyKind::Https => ("http", "basic"),
            ProxyKind::Socks4 => ("socks4", "username"),
            ProxyKind::Socks5 => ("socks5", "password"),
        };
        let scheme = if self.login.is_some() { scheme } else { "none" };
        let to = format!("{}/<unresolved>:{}", url.host, url.port);
        Failure::Text(format!("{kind}, {scheme}, /{address} => {to}, {why}"))
    }

    pub(super) fn timeout(&self, url: &Url, address: SocketAddr) -> Failure {
        self.failure(url, address, "timeout")
    }

    /// Over a connection to the proxy, a stream to the target.
    ///
    /// # Errors
    /// What the proxy said instead.
    pub(super) async fn tunnel(
        &self,
        url: &Url,
        address: SocketAddr,
        mut io: Box<dyn Io>,
    ) -> Result<Box<dyn Io>, Failure> {
        let said = |why: String| self.failure(url, address, &why);
        let to = (url.host.trim_start_matches('[').trim_end_matches(']'), url.port);
        match (self.kind, &self.login) {
            (ProxyKind::Http | ProxyKind::Https, _) => {
                self.connect(url, &mut io).await.map_err(said)?;
                Ok(io)
            }
            (ProxyKind::Socks4, None) => {
                let stream = Socks4Stream::connect_with_socket(io, to).await;
                Ok(stream.map_err(|error| said(error.to_string()))?.into_inner())
            }
            (ProxyKind::Socks4, Some((user, _))) => {
                let stream = Socks4Stream::connect_with_userid_and_socket(io, to, user).await;
                Ok(stream.map_err(|error| said(error.to_string()))?.into_inner())
            }
            (ProxyKind::Socks5, None) => {
                let stream = Socks5Stream::connect_with_socket(io, to).await;
                Ok(stream.map_err(|error| said(error.to_string()))?.into_inner())
            }
            (ProxyKind::Socks5, Some((user, password))) => {
                let stream =
                    Socks5Stream::connect_with_password_and_socket(io, to, user, password).await;
                Ok(stream.map_err(|error| said(error.to_string()))?.into_inner())
            }
        }
    }

    /// RFC 9110, 9.3.6.
    async fn connect(&self, url: &Url, io: &mut Box<dyn Io>) -> Result<(), String> {
        io.write_all(&self.connect_head(url)).await.map_err(|error| error.to_string())?;
        io.flush().await.map_err(|error| error.to_string())?;
        let mut head = Vec::new();
        let mut piece = [0; 1_024];
        loop {
            let length = io.read(&mut piece).await.map_err(|error| error.to_string())?;
            if length == 0 {
                return Err("disconnected".to_owned());
            }
            head.extend_from_slice(&piece[..length]);
            let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut answer = httparse::Response::new(&mut slots);
            let parsed = answer.parse(&head).map_err(|error| format!("invalid answer: {error}"))?;
            if let httparse::Status::Complete(used) = parsed {
                return match answer.code.unwrap_or_default() {
                    200..=299 if used == head.len() => Ok(()),
                    200..=299 => Err("invalid answer: more than a head".to_owned()),
                    code => Err(format!("status: {code} {}", answer.reason.unwrap_or_default())),
                };
            }
            if head.len() > HEAD_BYTES_MAX {
                return Err("invalid answer: its head is too long".to_owned());
            }
        }
    }

    fn connect_head(&self, url: &Url) -> Vec<u8> {
        let mut text =
            format!("CONNECT {}:{} HTTP/1.1\r\nhost: {}\r\n", url.host, url.port, url.authority());
        if let Some(value) = self.authorization() {
            // Writing to a String cannot fail.
            let _ = write!(text, "proxy-authorization: {value}\r\n");
        }
        let mut head = text.into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}
