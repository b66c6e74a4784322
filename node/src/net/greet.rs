//! Carries hellos over streams, both ends. Judges nothing: what was said goes to the swarm's task.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::mpsc;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::actor::Command;
use super::hello::{Hello, PROTOCOL_MAX, PROTOCOL_MIN};
use super::limits::{HELLO_BYTES_MAX, HELLO_TIMEOUT, HELLO_TRIES};
use super::shared::Shared;
use super::streams::StreamOpener;
use super::{DuplexStream, StreamHandler};

pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/onrush/hello/1");

type Commands = mpsc::Sender<Command>;

fn own(shared: &Shared) -> Result<Bytes, String> {
    let (_, sealed) = shared.edition().map_err(text)?;
    let hello = Hello {
        protocol_min: PROTOCOL_MIN,
        protocol_max: PROTOCOL_MAX,
        cluster_name: shared.cluster_name.clone(),
        record: String::from_utf8(sealed).map_err(|e| e.to_string())?,
    };
    serde_json::to_vec(&hello).map(Bytes::from).map_err(|e| e.to_string())
}

fn framed(stream: DuplexStream) -> Framed<DuplexStream, LengthDelimitedCodec> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(HELLO_BYTES_MAX).new_codec();
    Framed::new(stream, codec)
}

async fn read(framed: &mut Framed<DuplexStream, LengthDelimitedCodec>) -> Result<Hello, String> {
    let frame = framed.next().await.ok_or("the stream ended")?.map_err(text)?;
    serde_json::from_slice(&frame).map_err(|e| format!("not a hello: {e}"))
}

/// The dialling side: says hello, waits for the answer, reports it.
pub(super) async fn introduce(
    opener: Arc<dyn StreamOpener>,
    shared: Arc<Shared>,
    commands: Commands,
    peer: PeerId,
) {
    let mut last = String::new();
    for round in 0..HELLO_TRIES {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let exchange = async {
            let stream = opener.open(peer, PROTOCOL).await.map_err(text)?;
            let mut framed = framed(stream);
            framed.send(own(&shared)?).await.map_err(|e: std::io::Error| e.to_string())?;
            read(&mut framed).await
        };
        match tokio::time::timeout(HELLO_TIMEOUT, exchange).await {
            Ok(Ok(hello)) => {
                let _ = commands.send(Command::Hello { peer, hello }).await;
                return;
            }
            Ok(Err(reason)) => last = reason,
            Err(_) => last = format!("no answer within {HELLO_TIMEOUT:?}"),
        }
        if !shared.is_linked(&peer) {
            return;
        }
    }
    let _ = commands.send(Command::Silent { peer, reason: last }).await;
}

/// The dialled side.
pub(super) fn handler(shared: Arc<Shared>, commands: Commands) -> StreamHandler {
    Arc::new(move |peer, stream| {
        let (shared, commands) = (Arc::clone(&shared), commands.clone());
        async move {
            let Ok(peer) = peer.0.parse::<PeerId>() else { return };
            let exchange = async {
                let mut framed = framed(stream);
                let hello = read(&mut framed).await?;
                framed.send(own(&shared)?).await.map_err(|e: std::io::Error| e.to_string())?;
                Ok::<_, String>(hello)
            };
            match tokio::time::timeout(HELLO_TIMEOUT, exchange).await {
                Ok(Ok(hello)) => {
                    let _ = commands.send(Command::Hello { peer, hello }).await;
                }
                Ok(Err(reason)) => tracing::debug!(%peer, reason, "hello failed"),
                Err(_) => tracing::debug!(%peer, "hello timed out"),
            }
        }
        .boxed()
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
