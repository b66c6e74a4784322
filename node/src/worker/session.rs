//! One control stream, opened by a master: reads its messages, writes what the actor has to say.
//! Decides nothing.

use onrush_raft::types::PeerName;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};

use super::actor::{Event, Stamp};
use super::limits::TO_MASTER_MAX;
use crate::clock::Clock;
use crate::control_wire::{self, FromWorker, ToWorker};
use crate::net::DuplexStream;

/// Until the stream ends, or a newer session takes its place.
pub(super) async fn run(
    peer: PeerName,
    stream: DuplexStream,
    events: mpsc::Sender<Event>,
    clock: Clock,
) {
    let (mut from, mut to) = tokio::io::split(stream);
    let Ok(hello) = control_wire::receive::<ToWorker, _>(&mut from).await else { return };
    let (outbox, mut waiting) = mpsc::channel::<FromWorker>(TO_MASTER_MAX);
    let (answer, admitted) = oneshot::channel();
    if events.send(Event::Hello { hello, to: outbox, answer }).await.is_err() {
        return;
    }
    let id = match admitted.await {
        Ok(Ok(id)) => id,
        Ok(Err((term, reason))) => {
            tracing::info!(%peer, %reason, "refused a master");
            // It may be gone; then it need not know.
            let _ = control_wire::send(&mut to, &FromWorker::Refused { term, reason }).await;
            return;
        }
        Err(_) => return,
    };
    let reading = async {
        while let Ok(order) = control_wire::receive::<ToWorker, _>(&mut from).await {
            let at = Stamp { mono_us: clock.now_us(), unix_us: clock.unix_us() };
            if events.send(Event::Order { session: id, order, at }).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some(message) = waiting.recv().await {
            if control_wire::send(&mut to, &message).await.is_err() {
                return;
            }
        }
        // A newer session took the place of this one, or the node stops.
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    // The actor may have stopped.
    let _ = events.send(Event::Closed { session: id }).await;
}
