//! Opening and accepting byte streams. libp2p-stream is "alpha" and drops inbound streams silently
//! when its channel is full, and may wait for ever on a peer that is gone; so every stream begins
//! with an accept of our own, every open has a deadline, and the crate stays behind a trait.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use libp2p::{PeerId, StreamProtocol};
use onrush_raft::types::PeerName;
use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio_util::compat::FuturesAsyncReadCompatExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{INBOUND_STREAMS, OPEN_RETRY, OPEN_TIMEOUT};
use super::shared::Shared;
use super::{DuplexStream, MeshError, StreamHandler};

const REFUSED: u8 = 0;
const ACCEPTED: u8 = 1;

/// Opens streams to connected peers.
#[async_trait]
pub(super) trait StreamOpener: Send + Sync + 'static {
    /// A stream that the other side's application has accepted; fails within [`OPEN_TIMEOUT`].
    async fn open(&self, peer: PeerId, protocol: StreamProtocol)
    -> Result<DuplexStream, MeshError>;
}

pub(super) struct Libp2pOpener {
    pub(super) control: libp2p_stream::Control,
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl StreamOpener for Libp2pOpener {
    async fn open(
        &self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<DuplexStream, MeshError> {
        let name = PeerName(peer.to_string());
        let deadline = tokio::time::Instant::now() + OPEN_TIMEOUT;
        loop {
            if !self.shared.is_linked(&peer) {
                return Err(MeshError::NotConnected(name));
            }
            let attempt = attempt(self.control.clone(), peer, protocol.clone());
            let last = match tokio::time::timeout_at(deadline, attempt).await {
                Err(_) => return Err(MeshError::Timeout { peer: name, after: OPEN_TIMEOUT }),
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(reason)) => reason,
            };
            let pause = OPEN_RETRY.mul_f64(1.0 + rand::rng().random::<f64>());
            if tokio::time::Instant::now() + pause >= deadline {
                return Err(MeshError::Remote(last));
            }
            tokio::time::sleep(pause).await;
        }
    }
}

async fn attempt(
    mut control: libp2p_stream::Control,
    peer: PeerId,
    protocol: StreamProtocol,
) -> Result<DuplexStream, String> {
    let stream = control.open_stream(peer, protocol).await.map_err(|e| e.to_string())?;
    let mut stream = stream.compat();
    let answer = stream.read_u8().await;
    match answer.map_err(|e| format!("the peer did not accept the stream: {e}"))? {
        ACCEPTED => Ok(Box::new(stream)),
        _ => Err("the peer refuses streams of this node".to_owned()),
    }
}

/// Who may open streams of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Any peer that completed the handshakes: hello.
    Linked,
    /// Peers whose hello was accepted.
    Admitted,
}

/// Where accept loops and what they start run.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) shared: Arc<Shared>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) slots: Arc<Semaphore>,
}

impl Acceptor {
    pub(super) fn new(shared: Arc<Shared>, tracker: TaskTracker, stop: CancellationToken) -> Self {
        Self { shared, tracker, stop, slots: Arc::new(Semaphore::new(INBOUND_STREAMS)) }
    }

    /// Serves a protocol until stopped. The loop itself only starts tasks, so that libp2p-stream's
    /// one-place channel is always free.
    pub(super) fn serve(
        &self,
        control: &mut libp2p_stream::Control,
        protocol: StreamProtocol,
        gate: Gate,
        handler: StreamHandler,
    ) {
        let Ok(mut incoming) = control.accept(protocol.clone()) else {
            tracing::error!(%protocol, "a protocol is registered twice");
            return;
        };
        let acceptor = self.clone();
        self.tracker.spawn(async move {
            loop {
                let next = tokio::select! {
                    () = acceptor.stop.cancelled() => return,
                    next = incoming.next() => next,
                };
                let Some((peer, stream)) = next else { return };
                let Ok(slot) = Arc::clone(&acceptor.slots).try_acquire_owned() else {
                    tracing::warn!(%peer, %protocol, "too many streams; one is refused");
                    continue;
                };
                let stop = acceptor.stop.clone();
                let shared = Arc::clone(&acceptor.shared);
                let handler = Arc::clone(&handler);
                acceptor.tracker.spawn(async move {
                    let serve = serve_one(shared, gate, peer, Box::new(stream.compat()), handler);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = serve => {}
                    }
                    drop(slot);
                });
            }
        });
    }
}

async fn serve_one(
    shared: Arc<Shared>,
    gate: Gate,
    peer: PeerId,
    mut stream: DuplexStream,
    handler: StreamHandler,
) {
    let welcome = gate == Gate::Linked || shared.is_admitted(&peer);
    let answer = if welcome { ACCEPTED } else { REFUSED };
    let sent = tokio::time::timeout(Duration::from_secs(3), async {
        stream.write_u8(answer).await?;
        stream.flush().await
    });
    if matches!(sent.await, Ok(Ok(()))) && welcome {
        handler(PeerName(peer.to_string()), stream).await;
    }
}
