//! The master's end of one control stream: dials a worker, sends heartbeats and orders, hands what
//! it says to the reign. Decides nothing; it dials again for as long as the reign wants it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use onrush_raft::types::PeerName;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::coordinator::Heard;
use super::reconcile::LEASE_MS;
use crate::clock::Clock;
use crate::control_wire::{self, CONTROL_VERSION, FromWorker, ToWorker};
use crate::net::{DuplexStream, Mesh, PeerView, Service};

/// Between two heartbeats: what a cut may take of a lease before it begins.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// The same to a worker without a shard, which has no lease.
const HEARTBEAT_IDLE: Duration = Duration::from_millis(1_000);
/// A worker answers each heartbeat; one that is silent for longer is dialled again.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A write that takes longer is a dead connection: its heartbeats may not arrive any more.
const WRITE_MAX: Duration = Duration::from_secs(2);
/// Between two tries of a session; the first follows at once when the worker is connected again.
const REDIAL: Duration = Duration::from_millis(300);
/// Orders that wait to be written; what does not fit is ordered again by the next round.
const ORDERS_MAX: usize = 1_024;

/// The reign's handle to a worker; dropped, the session ends.
pub(super) struct Session {
    orders: mpsc::Sender<ToWorker>,
    /// When the last heartbeat was sent, by the monotonic clock, milliseconds.
    heartbeat_ms: Arc<AtomicU64>,
    /// It has shards, or is about to: as it said last, or was ordered since.
    busy: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Who commands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) term: u64,
    pub(super) leader: u64,
    pub(super) clock: Clock,
}

impl Session {
    pub(super) fn start(
        command: Command,
        mesh: Arc<dyn Mesh>,
        peer: PeerName,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        let (orders, queue) = mpsc::channel(ORDERS_MAX);
        let stop = CancellationToken::new();
        // Until this master's first heartbeat, an earlier one's may still count.
        let heartbeat_ms = Arc::new(AtomicU64::new(command.clock.now_ms()));
        let busy = watch::Sender::new(true);
        let beats = Arc::clone(&heartbeat_ms);
        let link = Link { command, mesh, peer, heard, heartbeat_ms: beats, busy: busy.clone() };
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(link.run(queue)).await });
        Self { orders, heartbeat_ms, busy, stop }
    }

    /// Gives back an order for which there is no room.
    pub(super) fn order(&self, order: ToWorker) -> Option<ToWorker> {
        self.busy.send_replace(true);
        self.orders.try_send(order).err().map(TrySendError::into_inner)
    }

    /// When the last heartbeat was sent, by the monotonic clock.
    pub(super) fn heartbeat_ms(&self) -> u64 {
        self.heartbeat_ms.load(Ordering::Relaxed)
    }
}

type Peers = BTreeMap<PeerName, PeerView>;

struct Link {
    command: Command,
    mesh: Arc<dyn Mesh>,
    peer: PeerName,
    heard: mpsc::Sender<Heard>,
    heartbeat_ms: Arc<AtomicU64>,
    busy: watch::Sender<bool>,
}

impl Link {
    async fn run(self, mut queue: mpsc::Receiver<ToWorker>) {
        loop {
            match self.mesh.open(&self.peer, Service::Control).await {
                Ok(stream) => {
                    let ended = self.talk(stream, &mut queue).await;
                    tracing::debug!(peer = %self.peer, ?ended, "session ended");
                    // The reign may be over; then nobody needs to know.
                    let _ = self.heard.send(Heard::Down { peer: self.peer.clone() }).await;
                }
                Err(error) => tracing::debug!(peer = %self.peer, %error, "no session"),
            }
            // Orders for a session that is gone: they come again once there is one.
            while queue.try_recv().is_ok() {}
            let linked = |peers: &Peers| peers.get(&self.peer).is_some_and(|peer| peer.connected);
            let mut peers = self.mesh.peers();
            if linked(&peers.borrow_and_update()) {
                tokio::time::sleep(REDIAL).await;
            } else {
                tokio::select! {
                    Ok(_) = peers.wait_for(|it| linked(it)) => {}
                    () = tokio::time::sleep(REDIAL) => {}
                }
            }
        }
    }

    async fn talk(
        &self,
        stream: DuplexStream,
        queue: &mut mpsc::Receiver<ToWorker>,
    ) -> Result<(), control_wire::Error> {
        let (mut from, mut to) = tokio::io::split(stream);
        let Command { term, leader, .. } = self.command;
        control_wire::send(&mut to, &ToWorker::Hello { version: CONTROL_VERSION, term, leader })
            .await?;
        let (answers, mut waiting) = mpsc::channel(16);
        let reading = async {
            loop {
                let message = tokio::time::timeout(
                    SILENCE_MAX,
                    control_wire::receive::<FromWorker, _>(&mut from),
                );
                let message = message.await.map_err(|_| silent())??;
                if !self.hear(message, &answers).await {
                    return Ok(());
                }
            }
        };
        let writing = async {
            let mut busy = self.busy.subscribe();
            let mut next = Instant::now();
            loop {
                let message = tokio::select! {
                    biased;
                    Some(answer) = waiting.recv() => self.answer(answer),
                    () = tokio::time::sleep_until(next) => {
                        let pause = if *self.busy.borrow() { HEARTBEAT } else { HEARTBEAT_IDLE };
                        next = Instant::now() + pause;
                        self.heartbeat()
                    }
                    Ok(_) = busy.wait_for(|busy| *busy), if next > Instant::now() + HEARTBEAT => {
                        next = Instant::now() + HEARTBEAT;
                        continue;
                    }
                    Some(order) = queue.recv() => order,
                };
                let sent = tokio::time::timeout(WRITE_MAX, control_wire::send(&mut to, &message));
                sent.await.map_err(|_| silent())??;
            }
        };
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    }

    fn heartbeat(&self) -> ToWorker {
        let Command { term, leader, clock } = self.command;
        // Before it is sent: whatever arrives of it, its lease counts from no later than this.
        self.heartbeat_ms.store(clock.now_ms(), Ordering::Relaxed);
        ToWorker::Heartbeat { term, leader, mono_us: clock.now_us(), lease_ms: LEASE_MS }
    }

    fn answer(&self, sent_us: u64) -> ToWorker {
        let clock = self.command.clock;
        ToWorker::Probed { sent_us, mono_us: clock.now_us(), unix_us: clock.unix_us() }
    }

    /// Whether the session goes on.
    async fn hear(&self, message: FromWorker, answers: &mpsc::Sender<u64>) -> bool {
        let refused = matches!(message, FromWorker::Refused { .. });
        match &message {
            FromWorker::Probe { sent_us } => return answers.send(*sent_us).await.is_ok(),
            FromWorker::Refused { reason, .. } => {
                tracing::warn!(peer = %self.peer, %reason, "refused by a worker");
            }
            FromWorker::Report { shards } => {
                self.busy.send_if_modified(|busy| {
                    let was = std::mem::replace(busy, !shards.is_empty());
                    was != *busy
                });
            }
            FromWorker::Frame { .. } => {}
        }
        let now_ms = self.command.clock.now_ms();
        let Some(heard) = Heard::of(&self.peer, self.command.term, message, now_ms) else {
            if !refused {
                tracing::error!(peer = %self.peer, "unreadable frame");
            }
            return false;
        };
        self.heard.send(heard).await.is_ok() && !refused
    }
}

fn silent() -> control_wire::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the other side is silent").into()
}
