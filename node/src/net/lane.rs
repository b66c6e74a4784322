//! Calls over one long-lived stream per peer and service: framed, with request ids and deadlines,
//! many under way at once. A lane reconnects when it is used again after a loss; a call that was
//! under way when the stream broke fails with [`MeshError::Lost`] and is never repeated here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use libp2p::{PeerId, StreamProtocol};
use onrush_raft::types::PeerName;
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::limits::{FRAME_BYTES_MAX, LANE_PENDING, LANE_QUEUE};
use super::streams::StreamOpener;
use super::{CallHandler, DuplexStream, MeshError};

const OK: u8 = 0;
const FAILED: u8 = 1;
/// Request: id, deadline in ms, body. Answer: id, status, body.
const REQUEST_HEADER: usize = 12;
const ANSWER_HEADER: usize = 9;

type Reply = oneshot::Sender<Result<Bytes, MeshError>>;

struct Request {
    body: Bytes,
    timeout: Duration,
    reply: Reply,
}

/// The calling end.
#[derive(Clone)]
pub(super) struct Lane {
    peer: PeerName,
    queue: mpsc::Sender<Request>,
}

impl Lane {
    /// A lane that connects at its first call. The future runs it until all clones are dropped.
    pub(super) fn new(
        opener: Arc<dyn StreamOpener>,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, requests) = mpsc::channel(LANE_QUEUE);
        let lane = Self { peer: PeerName(peer.to_string()), queue };
        (lane, run(opener, peer, protocol, requests))
    }

    pub(super) async fn call(&self, body: Bytes, timeout: Duration) -> Result<Bytes, MeshError> {
        if body.len() + REQUEST_HEADER > FRAME_BYTES_MAX {
            return Err(MeshError::Remote(format!(
                "a request of {} bytes is over the limit of {FRAME_BYTES_MAX}",
                body.len()
            )));
        }
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let lost = || MeshError::Lost(self.peer.clone());
            self.queue.send(Request { body, timeout, reply }).await.map_err(|_| lost())?;
            answer.await.map_err(|_| lost())?
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(MeshError::Timeout { peer: self.peer.clone(), after: timeout }))
    }
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(FRAME_BYTES_MAX).new_codec()
}

async fn run(
    opener: Arc<dyn StreamOpener>,
    peer: PeerId,
    protocol: StreamProtocol,
    mut requests: mpsc::Receiver<Request>,
) {
    while let Some(first) = requests.recv().await {
        if first.reply.is_closed() {
            continue;
        }
        match opener.open(peer, protocol.clone()).await {
            Ok(stream) => drive(stream, first, &mut requests, &peer).await,
            Err(error) => {
                let _ = first.reply.send(Err(error));
            }
        }
    }
}

/// Writes requests and reads answers, each at its own pace, until either fails.
async fn drive(
    stream: DuplexStream,
    first: Request,
    requests: &mut mpsc::Receiver<Request>,
    peer: &PeerId,
) {
    let pending: Mutex<HashMap<u64, Reply>> = Mutex::default();
    let (sink, mut source) = Framed::new(stream, codec()).split();
    let write = write_requests(sink, first, requests, &pending);
    let read = async {
        while let Some(Ok(frame)) = source.next().await {
            let Some((id, result)) = parse_answer(frame) else { return };
            let reply = pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            if let Some(reply) = reply {
                let _ = reply.send(result);
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    let left = std::mem::take(&mut *pending.lock().unwrap_or_else(PoisonError::into_inner));
    for (_, reply) in left {
        let _ = reply.send(Err(MeshError::Lost(PeerName(peer.to_string()))));
    }
}

async fn write_requests(
    mut sink: futures::stream::SplitSink<Framed<DuplexStream, LengthDelimitedCodec>, Bytes>,
    first: Request,
    requests: &mut mpsc::Receiver<Request>,
    pending: &Mutex<HashMap<u64, Reply>>,
) {
    let mut next = Some(first);
    let mut id = 0_u64;
    while let Some(request) = next {
        if !request.reply.is_closed() {
            id += 1;
            let mut frame = BytesMut::with_capacity(REQUEST_HEADER + request.body.len());
            frame.put_u64(id);
            frame.put_u32(u32::try_from(request.timeout.as_millis()).unwrap_or(u32::MAX));
            frame.put_slice(&request.body);
            if let Err(busy) = register(pending, id, request.reply) {
                let _ = busy.send(Err(MeshError::Remote("too many calls under way".to_owned())));
            } else if sink.feed(frame.freeze()).await.is_err() {
                return;
            }
        }
        next = match requests.try_recv() {
            Ok(request) => Some(request),
            Err(_) => {
                if sink.flush().await.is_err() {
                    return;
                }
                requests.recv().await
            }
        };
    }
}

/// Gives the reply back where too many calls are under way, those nobody waits for not counted.
fn register(pending: &Mutex<HashMap<u64, Reply>>, id: u64, reply: Reply) -> Result<(), Reply> {
    let mut pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    if pending.len() >= LANE_PENDING {
        pending.retain(|_, waiting| !waiting.is_closed());
    }
    if pending.len() >= LANE_PENDING {
        return Err(reply);
    }
    pending.insert(id, reply);
    Ok(())
}

fn parse_answer(mut frame: BytesMut) -> Option<(u64, Result<Bytes, MeshError>)> {
    if frame.len() < ANSWER_HEADER {
        return None;
    }
    let id = frame.get_u64();
    match frame.get_u8() {
        OK => Some((id, Ok(frame.freeze()))),
        FAILED => {
            let message = String::from_utf8_lossy(&frame).into_owned();
            Some((id, Err(MeshError::Remote(message))))
        }
        _ => None,
    }
}

/// The answering end: handles up to `concurrency` requests at once, starting them in the order in
/// which they came; 1 keeps the order of the effects too. Work whose deadline has passed is
/// dropped. Anything that is not a request ends the stream.
pub(super) async fn serve(
    peer: PeerName,
    stream: DuplexStream,
    handler: CallHandler,
    concurrency: usize,
) {
    let (mut sink, mut source) = Framed::new(stream, codec()).split();
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            frame = source.next(), if under_way.len() < concurrency => {
                let Some(Ok(mut frame)) = frame else { return };
                if frame.len() < REQUEST_HEADER {
                    tracing::debug!(%peer, "a request is too short; the stream is closed");
                    return;
                }
                let id = frame.get_u64();
                let deadline = Duration::from_millis(u64::from(frame.get_u32()));
                let work = handler(peer.clone(), frame.freeze());
                under_way.push(
                    tokio::time::timeout(deadline, work).map(move |result| (id, result)),
                );
            }
            Some((id, result)) = under_way.next(), if !under_way.is_empty() => {
                // Past its deadline: nobody waits for the answer.
                let Ok(result) = result else { continue };
                if sink.send(answer(id, result)).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn answer(id: u64, result: Result<Bytes, String>) -> Bytes {
    let too_long = |body: &Bytes| body.len() + ANSWER_HEADER > FRAME_BYTES_MAX;
    let (status, body) = match result {
        Ok(body) if too_long(&body) => (FAILED, Bytes::from_static(b"the answer is too long")),
        Ok(body) => (OK, body),
        Err(message) => (FAILED, Bytes::from(message)),
    };
    let mut frame = BytesMut::with_capacity(ANSWER_HEADER + body.len());
    frame.put_u64(id);
    frame.put_u8(status);
    frame.put_slice(&body);
    frame.freeze()
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
