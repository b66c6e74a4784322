//! One request over one connection, to the first address that answers.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::newest::Newest;
use super::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, Error};
use crate::error::{Kind, ProblemBody};
use crate::extract::IDEMPOTENCY_HEADER;
use crate::freshness::INDEX_HEADER;

/// Answers that are held in memory whole: JSON documents.
const ANSWER_BYTES_MAX: usize = 64 << 20;
const ADDRESSES_MAX: usize = 64;
/// Another round over all addresses begins for so long where each says that there is no leader: each
/// has waited for an election already. The reason is to be there within five seconds.
const LEADERLESS_FOR: Duration = Duration::from_millis(2_500);
/// A write whose outcome is unknown begins again for so long.
const AGAIN_FOR: Duration = Duration::from_secs(4);
const ROUND_PAUSE: Duration = Duration::from_millis(750);

pub(super) type SendBody = BoxBody<Bytes, std::io::Error>;
/// A body, and its length where it does not know that itself.
pub(super) type Opened = std::io::Result<(Option<u64>, SendBody)>;
/// An answer, and who gave it.
pub(super) type Answered = (Address, Response<Incoming>);

/// `http://host:port`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// # Errors
    /// When it is not `http://host:port` (the scheme may be left out).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why| Err(Error::BadAddress { address: text.to_owned(), why });
        let rest = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some(("https", _)) => return refuse("https is not served yet; use http://host:port"),
            Some(_) => return refuse("expected http://host:port"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let Some((host, port)) = rest.rsplit_once(':') else {
            return refuse("the port is missing; expected http://host:port");
        };
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return refuse("expected http://host:port");
        }
        if port.parse::<u16>().is_err() {
            return refuse("the port is not a number from 1 to 65535");
        }
        Ok(Self(rest.to_owned()))
    }

    /// With its scheme.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// A client of the cluster.
#[derive(Debug)]
pub struct Client {
    /// The one that answered last comes first.
    addresses: Mutex<Vec<Address>>,
    token: Option<String>,
    by: String,
    newest: Newest,
}

/// What to ask for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Sent as JSON.
    pub(super) json: Option<Bytes>,
    /// Asking twice does no harm.
    pub(super) repeatable: bool,
    /// And the second answer is that of the first: what was made is there, and says so.
    pub(super) same_again: bool,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: Vec::new(),
            json: None,
            repeatable: true,
            same_again: false,
        }
    }

    pub(super) fn post(path: impl Into<String>, body: &impl Serialize) -> Result<Self, Error> {
        let json = serde_json::to_vec(body).map_err(std::io::Error::other)?;
        let ask = Self::get(path);
        Ok(Self { method: Method::POST, json: Some(json.into()), repeatable: false, ..ask })
    }

    /// Not repeated by itself: of what is gone already the second answer is that it never was.
    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, repeatable: false, ..Self::get(path) }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Carried out once however often it is asked for: a key of its own says so to the cluster.
    pub(super) fn once(self) -> Self {
        self.once_as(&ulid::Ulid::new().to_string())
    }

    pub(super) fn once_as(self, key: &str) -> Self {
        let ask = self.header(IDEMPOTENCY_HEADER, key);
        Self { repeatable: true, same_again: true, ..ask }
    }
}

/// How one attempt at one address ended.
enum Attempt {
    Answer(Response<Incoming>),
    /// Nothing was sent.
    Unreachable(String),
    /// It may have been carried out.
    Lost(String),
}

impl Client {
    /// `by` is who asks, for the audit trail.
    ///
    /// # Errors
    /// When there is no address, or one cannot be used.
    pub fn new(addresses: &[String], token: Option<String>, by: &str) -> Result<Self, Error> {
        let parsed: Vec<Address> =
            addresses.iter().map(|text| Address::parse(text.trim())).collect::<Result<_, _>>()?;
        if parsed.is_empty() {
            return Err(Error::BadAddress { address: String::new(), why: "none was given" });
        }
        let by = by.chars().filter(char::is_ascii_graphic).collect();
        Ok(Self { addresses: Mutex::new(parsed), token, by, newest: Newest::default() })
    }

    /// The age of the oldest answer that said it was stale, milliseconds; 0: none did.
    #[must_use]
    pub fn staleness(&self) -> Arc<AtomicU64> {
        self.newest.stale_ms()
    }

    /// The addresses in the order they are tried.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.addresses.lock().map(|list| list.clone()).unwrap_or_default()
    }

    /// The address that answered last.
    #[must_use]
    pub fn address(&self) -> String {
        self.addresses().first().map(Address::url).unwrap_or_default()
    }

    /// Adds what was learned from the cluster, behind what the user gave.
    pub fn learn(&self, urls: impl IntoIterator<Item = String>) {
        let Ok(mut list) = self.addresses.lock() else { return };
        for url in urls {
            if let Ok(address) = Address::parse(&url)
                && !list.contains(&address)
                && list.len() < ADDRESSES_MAX
            {
                list.push(address);
            }
        }
    }

    fn prefer(&self, address: &Address) {
        if let Ok(mut list) = self.addresses.lock()
            && let Some(at) = list.iter().position(|known| known == address)
        {
            list[..=at].rotate_right(1);
        }
    }

    /// The next call goes to the next address first.
    pub fn turn(&self) {
        if let Ok(mut list) = self.addresses.lock() {
            list.rotate_left(1);
        }
    }

    /// Moves an address behind the others.
    fn avoid(&self, address: &Address) {
        if let Ok(mut list) = self.addresses.lock()
            && let Some(at) = list.iter().position(|known| known == address)
        {
            list[at..].rotate_left(1);
        }
    }

    /// Moves the first address behind the others: it stopped answering.
    pub(super) fn rotate(&self) {
        if let Ok(mut list) = self.addresses.lock()
            && !list.is_empty()
        {
            list.rotate_left(1);
        }
    }

    fn request(
        &self,
        address: &Address,
        ask: &Ask,
        body: SendBody,
    ) -> Result<Request<SendBody>, Error> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header(HOST, address.0.as_str())
            .header(crate::auth::BY_HEADER, self.by.as_str());
        if let Some(seen) = self.newest.index() {
            request = request.header(INDEX_HEADER, seen);
        }
        if ask.json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &ask.headers {
            request = request.header(*name, value.as_str());
        }
        if let Some(token) = &self.token
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(body).map_err(|error| Error::Io(std::io::Error::other(error)))
    }

    /// The first answer that settles it, with a good status.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answered, Error> {
        let open = || {
            let body = ask.json.clone().map_or_else(empty, full);
            Box::pin(std::future::ready(Ok((None, body)))) as BoxFuture<'static, _>
        };
        self.settle(ask, &open, Some(ANSWER_TIMEOUT)).await
    }

    /// Sends a body of so many bytes, which is opened for each attempt.
    pub(super) async fn upload(
        &self,
        ask: &Ask,
        open: impl Fn() -> BoxFuture<'static, Opened>,
    ) -> Result<Answered, Error> {
        self.settle(ask, &open, None).await
    }

    async fn settle(
        &self,
        ask: &Ask,
        open: &impl Fn() -> BoxFuture<'static, Opened>,
        limit: Option<Duration>,
    ) -> Result<Answered, Error> {
        let began = Instant::now();
        loop {
            let settled = self.round(ask, open, limit).await;
            let again = match settled.as_ref().err().and_then(Error::kind) {
                Some(Kind::NoLeader) => began.elapsed() < LEADERLESS_FOR,
                Some(Kind::QuorumLost) => ask.same_again && began.elapsed() < AGAIN_FOR,
                _ => false,
            };
            if !again {
                return settled;
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// Each address once, until one settles it. What is asked again is asked of another one first.
    async fn round(
        &self,
        ask: &Ask,
        open: &impl Fn() -> BoxFuture<'static, Opened>,
        limit: Option<Duration>,
    ) -> Result<Answered, Error> {
        let mut tried = Vec::new();
        let mut leaderless = None;
        for address in self.addresses() {
            let (length, body) = open().await?;
            let mut request = self.request(&address, ask, body)?;
            if let Some(length) = length {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            match attempt(&address, request, limit).await {
                Attempt::Answer(response) => match self.settled(&address, response).await {
                    Ok(response) => {
                        self.prefer(&address);
                        return Ok((address, response));
                    }
                    // Nothing was changed: another node may know a leader. A large body is not sent
                    // to all of them for that.
                    Err(error) if error.kind() == Some(Kind::NoLeader) && limit.is_some() => {
                        leaderless = Some(error);
                    }
                    Err(error) => {
                        if matches!(error.kind(), Some(Kind::NoLeader | Kind::QuorumLost)) {
                            self.avoid(&address);
                        }
                        return Err(error);
                    }
                },
                Attempt::Unreachable(why) => tried.push((address.url(), why)),
                Attempt::Lost(why) if ask.repeatable => tried.push((address.url(), why)),
                Attempt::Lost(why) => return Err(Error::Lost { address: address.url(), why }),
            }
        }
        Err(leaderless.unwrap_or(Error::Unreachable(tried)))
    }

    /// An answer that is new enough, and good.
    async fn settled(
        &self,
        address: &Address,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, Error> {
        self.newest.judge(address, response.headers())?;
        refuse_problem(address, response).await
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, Error> {
        let (address, response) = self.send(ask).await?;
        read_json(&address, response).await
    }
}

/// A JSON answer.
pub(super) async fn read_json<T: DeserializeOwned>(
    address: &Address,
    response: Response<Incoming>,
) -> Result<T, Error> {
    let bytes = read_all(address, response).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Protocol { address: address.url(), why: error.to_string() })
}

pub(super) async fn read_all(
    address: &Address,
    response: Response<Incoming>,
) -> Result<Bytes, Error> {
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = limited
        .collect()
        .await
        .map_err(|error| Error::Protocol { address: address.url(), why: error.to_string() })?;
    Ok(body.to_bytes())
}

/// A bad status becomes the problem it carries.
async fn refuse_problem(
    address: &Address,
    response: Response<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let bytes = read_all(address, response).await?;
    match serde_json::from_slice::<ProblemBody>(&bytes) {
        Ok(problem) => Err(Error::Problem(Box::new(problem))),
        // HEAD answers have no body.
        Err(_) if status == StatusCode::NOT_FOUND && bytes.is_empty() => {
            let body = crate::error::Problem::new(Kind::NotFound, "not found").body(None);
            Err(Error::Problem(Box::new(body)))
        }
        Err(_) => Err(Error::Protocol {
            address: address.url(),
            why: format!("it answered {status} without a problem document"),
        }),
    }
}

async fn attempt(
    address: &Address,
    request: Request<SendBody>,
    timeout: Option<Duration>,
) -> Attempt {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&address.0));
    let socket = match connecting.await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Attempt::Unreachable(plain(&error)),
        Err(_) => return Attempt::Unreachable(format!("no connection within {CONNECT_TIMEOUT:?}")),
    };
    // Only latency is at stake.
    let _ = socket.set_nodelay(true);
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = match shaken {
        Ok(pair) => pair,
        Err(error) => return Attempt::Unreachable(error.to_string()),
    };
    tokio::spawn(async move {
        // Its end is seen by whoever reads the answer.
        let _ = connection.await;
    });
    let answer = sender.send_request(request);
    let answered = match timeout {
        None => answer.await,
        Some(limit) => match tokio::time::timeout(limit, answer).await {
            Ok(answered) => answered,
            Err(_) => return Attempt::Lost(format!("no answer within {limit:?}")),
        },
    };
    match answered {
        Ok(response) => Attempt::Answer(response),
        Err(error) => Attempt::Lost(error.to_string()),
    }
}

/// An I/O error without the number of the operating system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

fn empty() -> SendBody {
    full(Bytes::new())
}

fn full(bytes: Bytes) -> SendBody {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_with_the_reason() {
        for good in ["http://127.0.0.1:7440", "node-a:7440", "http://[::1]:7440/"] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        let why = |text: &str| Address::parse(text).unwrap_err().to_string();
        assert!(why("http://node-a").contains("port is missing"));
        assert!(why("https://node-a:7440").contains("https is not served"));
        assert!(why("http://:7440").contains("expected http://host:port"));
        assert!(why("http://a:99999").contains("1 to 65535"));
        assert!(why("http://user@a:80").contains("expected"));
    }

    #[test]
    fn the_address_that_answers_comes_first() {
        let list = ["a:1", "b:2", "c:3"].map(str::to_owned);
        let client = Client::new(&list, None, "ana@laptop").unwrap();
        client.prefer(&Address::parse("c:3").unwrap());
        let order: Vec<String> = client.addresses().iter().map(Address::url).collect();
        assert_eq!(order, ["http://c:3", "http://a:1", "http://b:2"]);
        client.learn(["http://d:4".to_owned(), "http://a:1".to_owned(), "nonsense".to_owned()]);
        assert_eq!(client.addresses().len(), 4);
        client.rotate();
        assert_eq!(client.address(), "http://a:1");
        client.avoid(&Address::parse("b:2").unwrap());
        let order: Vec<String> = client.addresses().iter().map(Address::url).collect();
        assert_eq!(order, ["http://a:1", "http://d:4", "http://c:3", "http://b:2"]);
    }
}
