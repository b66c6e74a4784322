//! A connection that leaves request and answer behind: what a WebSocket and an event stream are
//! read from. ✖ IO.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::connection::{Failure, Told};
use super::h1::{Io, Outgoing};
use super::reader::Reader;

/// Of one reading; small, as there may be thousands of these.
pub(super) const READ_BYTES: usize = 4 << 10;

/// The bytes of a connection. Dropping it closes it.
pub(super) struct Wire {
    io: Box<dyn Io>,
    _told: Told,
}

impl Wire {
    pub(super) fn new(io: Box<dyn Io>, told: Told) -> Self {
        Self { io, _told: told }
    }

    /// Sends the request and reads until the head of its answer is there; gives what came after
    /// that which the reader wanted.
    ///
    /// # Errors
    /// Why no answer came.
    pub(super) async fn begin(
        &mut self,
        request: &Outgoing,
        reader: &mut Reader,
    ) -> Result<Vec<u8>, Failure> {
        self.write_all(&request.head).await.map_err(|error| Failure::of(&error))?;
        self.write_all(&request.body).await.map_err(|error| Failure::of(&error))?;
        self.flush().await.map_err(|error| Failure::of(&error))?;
        let mut buffer = [0; READ_BYTES];
        while !reader.has_head() {
            let length = self.read(&mut buffer).await.map_err(|error| Failure::of(&error))?;
            if length == 0 {
                reader.end()?;
                break;
            }
            let bytes = buffer.get(..length).unwrap_or_default();
            let used = reader.feed(bytes)?;
            if used < length {
                return Ok(bytes.get(used..).unwrap_or_default().to_vec());
            }
        }
        Ok(Vec::new())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
