//! A small HTTP server for tests: threads, blocking sockets, scripted answers, everything recorded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub method: String,
    pub target: String,
    /// Lower-case names, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Number of the connection it came on.
    pub connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Raw bytes; the connection stays.
    Raw(Vec<u8>),
    /// Nothing, and the connection is closed.
    Close,
    /// Nothing ever.
    Hang,
    /// What takes the connection over.
    Take(Box<dyn FnOnce(TcpStream)>),
}

impl Reply {
    /// A response with a body and these further header lines.
    pub(crate) fn with(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut out = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for header in headers {
            out.push_str(header);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(body);
        Self::Raw(out)
    }
}

pub(crate) struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, record, count) =
            (Arc::new(answer), Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let (answer, record, count) =
                    (Arc::clone(&answer), Arc::clone(&record), Arc::clone(&count));
                thread::spawn(move || serve(stream, connection, &*answer, &record, &count));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    answer: &(dyn Fn(&Seen, usize) -> Reply + Send + Sync),
    record: &Mutex<Vec<Seen>>,
    count: &AtomicUsize,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(mut seen) = read(&mut reader) {
        seen.connection = connection;
        record.lock().unwrap().push(seen.clone());
        match answer(&seen, count.fetch_add(1, Ordering::Relaxed)) {
            Reply::Raw(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Close => return,
            Reply::Take(over) => return over(stream),
            Reply::Hang => loop {
                thread::park();
            },
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let line = read_line(reader)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut seen = Seen { method: words.next()?, target: words.next()?, ..Seen::default() };
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        seen.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = seen.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    seen.body.resize(length, 0);
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// Each byte is a character.
fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    Some(line.into_iter().map(char::from).collect())
}
