//! The benchmark's second target: HTTP/2 over TLS, on a thread of the first one's process. It answers
//! every request with the small response and counts; the first target tells the figures.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// What has been seen since the last reset; times are nanoseconds since the start, 0: none.
#[derive(Debug)]
pub struct Counts {
    began: Instant,
    requests: AtomicU64,
    connections: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            began: Instant::now(),
            requests: zero(),
            connections: zero(),
            first_ns: zero(),
            last_ns: zero(),
        }
    }
}

impl Counts {
    fn request(&self) {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1);
        // One thread writes; who reads comes when it is quiet.
        let _ = self.first_ns.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        self.last_ns.store(now, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        for counter in [&self.requests, &self.connections, &self.first_ns, &self.last_ns] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Requests, connections, and microseconds from the first request to the last.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let spread = of(&self.last_ns).saturating_sub(of(&self.first_ns)) / 1_000;
        (of(&self.requests), of(&self.connections), spread)
    }
}

/// Answers on a thread of its own until the process ends; where it listens.
///
/// # Errors
/// When no port is free, or the certificate cannot be made.
pub fn start(counts: Arc<Counts>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let acceptor = acceptor().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("http2".to_owned()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counts));
                // A connection that breaks is the generator's to tell.
                tokio::task::spawn_local(async move { serve(stream, acceptor, &counts).await });
            }
        });
    })?;
    Ok(address)
}

fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, counts: &Counts) {
    // Only slower without.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    counts.connections.fetch_add(1, Ordering::Relaxed);
    let body = Bytes::from(vec![b'x'; 128]);
    while let Some(Ok((_, mut answer))) = connection.accept().await {
        counts.request();
        let head = Response::builder().header(CONTENT_TYPE, "text/plain").body(());
        if let Ok(head) = head
            && let Ok(mut sending) = answer.send_response(head, false)
        {
            let _ = sending.send_data(body.clone(), true);
        }
    }
}
