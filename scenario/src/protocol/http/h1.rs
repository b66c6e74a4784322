//! One HTTP/1.1 connection: a request out, its answer in. Hot path. ✖ IO.
//!
//! There is no task and no buffer per connection: what comes is read into the thread's one buffer
//! and goes to the [`Reader`] at once, so that an idle connection costs its socket and little else.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Failure, Told};
use super::reader::Reader;

/// What a thread reads in one go.
const READ_BYTES: usize = 64 << 10;

/// A stream of bytes, whatever it goes through.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// The read buffer of all connections of a thread.
pub(super) type Scratch = Rc<RefCell<Box<[u8]>>>;

pub(super) fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; READ_BYTES].into_boxed_slice()))
}

/// A request as it goes over the wire.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// With the body, where that is small.
    pub head: Vec<u8>,
    pub body: Bytes,
}

impl Outgoing {
    pub(super) fn length(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// What is left after that many bytes, or a part of it.
    fn from(&self, sent: usize) -> &[u8] {
        self.head
            .get(sent..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or_else(|| &self.body[sent.saturating_sub(self.head.len())..])
    }
}

pub(super) struct H1 {
    io: Box<dyn Io>,
    scratch: Scratch,
    /// Between two requests, and with nothing left over.
    idle: bool,
    _told: Told,
}

impl H1 {
    pub(super) fn new(io: Box<dyn Io>, scratch: Scratch, told: Told) -> Self {
        Self { io, scratch, idle: true, _told: told }
    }

    /// Sends and reads to the last byte. Dropping the future leaves a connection of no use.
    ///
    /// # Errors
    /// Why no answer came.
    pub(super) async fn exchange(
        &mut self,
        request: &Outgoing,
        reader: &mut Reader,
    ) -> Result<(), Failure> {
        self.idle = false;
        let mut sending = Sending::Bytes(0);
        poll_fn(|cx| {
            if let Err(error) = self.poll_send(cx, request, &mut sending) {
                // It may have answered before it went.
                sending = Sending::Failed(error);
            }
            match self.poll_receive(cx, reader) {
                Poll::Ready(Err(Failure::PrematureClose)) => Poll::Ready(Err(sending.failure())),
                other => other,
            }
        })
        .await?;
        // A request that was answered before it was sent leaves its rest in the way.
        self.idle &= matches!(sending, Sending::Done) && reader.is_persistent();
        Ok(())
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        request: &Outgoing,
        sending: &mut Sending,
    ) -> io::Result<()> {
        while let Sending::Bytes(sent) = sending {
            match Pin::new(&mut self.io).poll_write(cx, request.from(*sent))? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(length) => *sent += length,
                Poll::Pending => return Ok(()),
            }
            if *sent == request.length() {
                *sending = Sending::Flush;
            }
        }
        if matches!(sending, Sending::Flush) && Pin::new(&mut self.io).poll_flush(cx)?.is_ready() {
            *sending = Sending::Done;
        }
        Ok(())
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
    ) -> Poll<Result<(), Failure>> {
        let mut scratch = self.scratch.borrow_mut();
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(reader.end());
                }
                Poll::Ready(Ok(())) => {
                    let length = buffer.filled().len();
                    let used = reader.feed(buffer.filled())?;
                    if reader.is_done() {
                        // Nobody asked for what comes after.
                        self.idle = used == length;
                        return Poll::Ready(Ok(()));
                    }
                }
                // TLS: closed without a word of farewell.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(reader.end());
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::of(&error))),
            }
        }
    }

    /// As far as the last answer tells, another request can be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }

    /// Another request can be sent: the peer has neither closed nor said anything unasked.
    pub(super) fn is_open(&mut self) -> bool {
        let mut probe = [0; 1];
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.io).poll_read(&mut cx, &mut ReadBuf::new(&mut probe));
        self.idle && read.is_pending()
    }
}

enum Sending {
    /// So many are gone.
    Bytes(usize),
    Flush,
    Done,
    Failed(io::Error),
}

impl Sending {
    /// Why there is no answer, when the connection has ended without one.
    fn failure(&self) -> Failure {
        match self {
            Self::Failed(error) => Failure::of(error),
            _ => Failure::PrematureClose,
        }
    }
}
