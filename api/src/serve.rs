//! HTTP/1.1 on a listener, with limits: headers must arrive in time, a client that does not read is
//! dropped, and a client that speaks TLS is told that this port does not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Connections served at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// From the first byte of a request to the end of its headers, and between requests.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(30);
/// A peer that takes no byte of an answer for so long is dropped (SSE readers that never read).
const WRITE_STALL_MAX: Duration = Duration::from_secs(30);
/// Time that requests under way have to end once the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Pause after `accept` failed (out of descriptors), so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long, and for how many bytes, a refused connection is read on.
const REFUSED_LINGER: Duration = Duration::from_secs(1);
const REFUSED_BYTES_MAX: u64 = 16 << 10;
/// How long the rest of a request is read on whose answer is there, in which steps.
const UNREAD_LINGER: Duration = Duration::from_secs(5);
const UNREAD_STEP_BYTES: usize = 16 << 10;
const UNREAD_STEPS: usize = 64;

const TLS_HANDSHAKE: u8 = 0x16;
const HTTP2_PREFACE: &[u8; 4] = b"PRI ";
const PLAIN_HTTP_HINT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\n\r\nthis port speaks HTTP/1.1, not HTTPS and not HTTP/2\n";

/// Serves until `shutdown` is cancelled, then lets requests under way end.
///
/// # Errors
/// Never in normal operation: a failing `accept` is retried.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((socket, slot)) = accepted else {
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        tasks.spawn(async move {
            connection(socket, router, shutdown).await;
            drop(slot);
        });
    }
    tasks.close();
    if tokio::time::timeout(DRAIN_MAX, tasks.wait()).await.is_err() {
        tracing::warn!(left = tasks.len(), "requests did not end in time and are cut off");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, _)) => Some((socket, slot)),
        Err(error) => {
            tracing::warn!(%error, "the API cannot accept connections");
            None
        }
    }
}

async fn connection(socket: TcpStream, router: Router, shutdown: CancellationToken) {
    let mut first = [0_u8; 4];
    let peeked = tokio::select! {
        peeked = tokio::time::timeout(HEADERS_TIMEOUT, socket.peek(&mut first)) => peeked,
        // Nothing was asked on it yet.
        () = shutdown.cancelled() => return,
    };
    if !matches!(peeked, Ok(Ok(1..))) {
        return;
    }
    if first[0] == TLS_HANDSHAKE || first == *HTTP2_PREFACE {
        refuse(socket).await;
        return;
    }
    // Events are small and must not wait for Nagle's algorithm.
    let _ = socket.set_nodelay(true);
    let unread = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&unread);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let unread = Arc::clone(&seen);
        router
            .clone()
            .oneshot(request.map(|body| Body::new(Watched { body, ended: false, unread })))
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .serve_connection(TokioIo::new(StallGuard::new(socket, unread)), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection ended early");
    }
}

/// Says what is wrong, and reads on for a moment: a socket closed with unread bytes is reset, and
/// the words are lost.
async fn refuse(mut socket: TcpStream) {
    let told = async {
        socket.write_all(PLAIN_HTTP_HINT).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(REFUSED_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // The peer may be gone already; there is nobody else to tell.
    let _ = tokio::time::timeout(REFUSED_LINGER, told).await;
}

/// A request's body that notes when nobody read it to its end.
struct Watched {
    body: Incoming,
    ended: bool,
    unread: Arc<AtomicBool>,
}

impl hyper::body::Body for Watched {
    type Data = bytes::Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended && !hyper::body::Body::is_end_stream(&self.body) {
            self.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// A socket whose writes fail once the peer has taken nothing for [`WRITE_STALL_MAX`].
/// After an answer that came before its request was read (an upload that is refused), it is read on
/// for a moment before it is closed: see [`refuse`].
struct StallGuard {
    socket: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    unread: Arc<AtomicBool>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl StallGuard {
    fn new(socket: TcpStream, unread: Arc<AtomicBool>) -> Self {
        Self { socket, stalled: None, unread, lingering: None }
    }

    /// Until the peer has seen the answer and closes, or its time is over.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.lingering.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + UNREAD_LINGER))
        });
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut sink = [0; UNREAD_STEP_BYTES];
        for _ in 0..UNREAD_STEPS {
            let mut buf = ReadBuf::new(&mut sink);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                // The peer may be gone already; there is nobody else to tell.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let deadline = self.stalled.get_or_insert_with(|| {
            Box::pin(tokio::time::sleep_until(Instant::now() + WRITE_STALL_MAX))
        });
        if deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for StallGuard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for StallGuard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            let shut = std::task::ready!(Pin::new(&mut self.socket).poll_shutdown(cx));
            if shut.is_err() || !self.unread.load(Ordering::Relaxed) {
                return Poll::Ready(shut);
            }
        }
        self.linger(cx)
    }
}
