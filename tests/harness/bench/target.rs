//! The benchmark's target: one thread on epoll that answers from memory, so that the generator is
//! what is measured. It counts requests and connections, and stamps the arrivals at `/stamp`.
//! Refuses to be an HTTP server: it reads what load generators send, and no more.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::http2::Counts;

/// Arrivals that are remembered.
const STAMPS_MAX: usize = 2_000_000;
/// A request longer than this is not a load generator's.
const REQUEST_BYTES_MAX: usize = 1 << 20;
const EVENTS_PER_WAIT: usize = 512;
const BACKLOG: i32 = 4_096;
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// Of a request that has not come to its end.
    read: Vec<u8>,
    /// What the socket's buffer could not take.
    unsent: Vec<u8>,
    /// Nothing follows what is unsent.
    ends: bool,
}

/// What has been seen since the last `/__reset`.
#[derive(Default)]
struct Seen {
    requests: u64,
    connections: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    stamps: Vec<Instant>,
}

struct Target {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: HashMap<u64, Connection>,
    next: u64,
    seen: Seen,
    answers: Answers,
}

struct Answers {
    /// What the other target counts is told here too.
    http2: Arc<Counts>,
    small: Vec<u8>,
    item: Vec<u8>,
    large: Vec<u8>,
}

/// Answers until the process ends. Prints where it listens.
///
/// # Errors
/// When the address cannot be bound, or the kernel refuses to say what is ready.
pub fn serve(
    address: SocketAddr,
    http2: Arc<Counts>,
    listening: impl FnOnce(SocketAddr),
) -> io::Result<()> {
    let listener = listen(address)?;
    listening(listener.local_addr()?);
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut target = Target {
        epoll,
        listener,
        connections: HashMap::new(),
        next: 0,
        seen: Seen::default(),
        answers: Answers::new(http2),
    };
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    let mut buffer = vec![0; 64 << 10];
    loop {
        events.clear();
        match epoll::wait(&target.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => target.accept()?,
                key => target.turn(key, &mut buffer),
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};

    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Target {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A peer that is gone already, or no descriptor: the generator will say so.
                Err(_) => return Ok(()),
            };
            stream.set_nonblocking(true)?;
            // Only slower without.
            let _ = stream.set_nodelay(true);
            let key = self.next;
            self.next += 1;
            epoll::add(&self.epoll, &stream, EventData::new_u64(key), EventFlags::IN)?;
            self.seen.connections += 1;
            let connection =
                Connection { stream, read: Vec::new(), unsent: Vec::new(), ends: false };
            self.connections.insert(key, connection);
        }
    }

    fn turn(&mut self, key: u64, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let outcome = connection.turn(buffer, &mut self.seen, &self.answers);
        let wanted = match outcome {
            Ok(false) => None,
            Ok(true) if connection.unsent.is_empty() => Some(EventFlags::IN),
            Ok(true) => Some(EventFlags::IN | EventFlags::OUT),
            Err(_) => {
                // Closing takes it out of the set.
                self.connections.remove(&key);
                return;
            }
        };
        if let Some(flags) = wanted {
            let data = EventData::new_u64(key);
            let _ = epoll::modify(self.epoll.as_fd(), &connection.stream, data, flags);
        }
    }
}

impl Connection {
    /// True when what it waits for has changed; an error ends it.
    fn turn(&mut self, buffer: &mut [u8], seen: &mut Seen, answers: &Answers) -> io::Result<bool> {
        let waited_to_write = !self.unsent.is_empty();
        self.flush()?;
        match self.stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.requests(&buffer[..length], seen, answers)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if self.ends && self.unsent.is_empty() {
            // The other side closes as well, and that ends it here.
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(waited_to_write == self.unsent.is_empty())
    }

    fn requests(&mut self, new: &[u8], seen: &mut Seen, answers: &Answers) -> io::Result<()> {
        if self.read.is_empty()
            && let Some(length) = request_length(new)
            && length == new.len()
        {
            return self.answer(new, seen, answers);
        }
        self.read.extend_from_slice(new);
        let mut read = std::mem::take(&mut self.read);
        while let Some(length) = request_length(&read)
            && length <= read.len()
        {
            self.answer(&read[..length], seen, answers)?;
            read.drain(..length);
        }
        self.read = read;
        if self.read.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    fn answer(&mut self, request: &[u8], seen: &mut Seen, answers: &Answers) -> io::Result<()> {
        let mut words = request.split(|byte| *byte == b' ');
        let path = words.nth(1).unwrap_or_default();
        // ab takes an answer for whole when the connection ends, where it did not ask to keep it.
        let is_old = words.next().is_some_and(|version| version.starts_with(b"HTTP/1.0"));
        self.ends = is_old && !request.windows(10).any(|it| it.eq_ignore_ascii_case(b"keep-alive"));
        match path {
            b"/__seen" => return self.send(&plain(&seen.to_json(&answers.http2))),
            b"/__stamps" => return self.send(&plain(&seen.stamps_text())),
            b"/__reset" => {
                *seen = Seen::default();
                answers.http2.reset();
                return self.send(&plain("{}"));
            }
            _ => {}
        }
        let now = Instant::now();
        seen.requests += 1;
        seen.first.get_or_insert(now);
        seen.last = Some(now);
        if path == b"/stamp" && seen.stamps.len() < STAMPS_MAX {
            seen.stamps.push(now);
        }
        if path.starts_with(b"/items") {
            self.send(&answers.item)
        } else if path == b"/large" {
            self.send(&answers.large)
        } else {
            self.send(&answers.small)
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        match self.stream.write(bytes) {
            Ok(length) => self.unsent.extend_from_slice(&bytes[length..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(bytes);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.unsent) {
            Ok(length) => drop(self.unsent.drain(..length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Head and body; none while the head is not complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    if bytes.starts_with(b"GET") {
        return Some(head);
    }
    let length = bytes[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok())?
    });
    Some(head + length.unwrap_or(0))
}

impl Seen {
    /// Of both targets: a tool speaks to one of them.
    fn to_json(&self, http2: &Counts) -> String {
        let spread = self.first.zip(self.last).map_or(0, |(first, last)| {
            u64::try_from(last.duration_since(first).as_micros()).unwrap_or(u64::MAX)
        });
        let (more_requests, more_connections, more_spread) = http2.read();
        let (requests, connections) =
            (self.requests + more_requests, self.connections + more_connections);
        let spread = spread.max(more_spread);
        format!("{{\"requests\":{requests},\"connections\":{connections},\"spread_us\":{spread}}}")
    }

    /// Nanoseconds since the first stamp, one a line.
    fn stamps_text(&self) -> String {
        let mut text = String::new();
        let Some(first) = self.stamps.first() else { return text };
        for stamp in &self.stamps {
            let _ = writeln!(text, "{}", stamp.duration_since(*first).as_nanos());
        }
        text
    }
}

impl Answers {
    fn new(http2: Arc<Counts>) -> Self {
        let mut item = String::from(
            "{\"id\":\"4711\",\"name\":\"a thing\",\"tags\":[\"a\",\"b\"],\"text\":\"",
        );
        while item.len() < 1_022 {
            item.push('x');
        }
        item.push_str("\"}");
        Self {
            http2,
            small: response("text/plain", &"x".repeat(128)),
            item: response("application/json", &item),
            large: response("application/octet-stream", &"x".repeat(100 << 10)),
        }
    }
}

fn plain(text: &str) -> Vec<u8> {
    response("text/plain", text)
}

fn response(kind: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Wed, 25 Nov 2026 00:00:00 GMT\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_where_its_body_ends() {
        assert_eq!(request_length(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
        assert_eq!(request_length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(27));
        let post = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcPOST";
        assert_eq!(request_length(post), Some(41));
    }

    #[test]
    fn it_counts_what_it_answers() {
        let (told, tell) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            serve(loopback, Arc::default(), move |address| {
                told.send(address).expect("the test waits");
            })
        });
        let base = format!("http://{}", tell.recv().unwrap());
        let agent = ureq::Agent::new_with_defaults();
        let get = |path: &str| {
            let mut answer = agent.get(format!("{base}{path}")).call().unwrap();
            answer.body_mut().read_to_string().unwrap()
        };
        assert_eq!(get("/").len(), 128);
        assert_eq!(get("/large").len(), 100 << 10);
        assert_eq!(get("/stamp").len(), 128);
        let posted = agent.post(format!("{base}/items/7")).send("{}").unwrap();
        let item: serde_json::Value =
            serde_json::from_str(&posted.into_body().read_to_string().unwrap()).unwrap();
        assert_eq!(item["id"], "4711");
        let seen: serde_json::Value = serde_json::from_str(&get("/__seen")).unwrap();
        assert_eq!((seen["requests"].as_u64(), seen["connections"].as_u64()), (Some(4), Some(1)));
        assert_eq!(get("/__stamps"), "0\n");
    }

    /// ab once waited for ever: it takes an answer for whole when the connection ends.
    #[test]
    fn a_connection_ends_where_http_1_0_does_not_keep_it() {
        let (told, tell) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            serve(loopback, Arc::default(), move |address| {
                told.send(address).expect("the test waits");
            })
        });
        let mut stream = TcpStream::connect(tell.recv().unwrap()).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap();
        let mut first = vec![0; response("text/plain", &"x".repeat(128)).len()];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut second = Vec::new();
        stream.read_to_end(&mut second).unwrap();
        assert_eq!(first, second);
    }
}
