//! The libp2p parts, composed: transport (TCP → pre-shared key → noise → yamux) and behaviours.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::transport::timeout::{TransportTimeout, TransportTimeoutError};
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{
    self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{PeerId, TransportError, identify, noise, ping, yamux};

use super::limits::{
    CONNECT_TIMEOUT, ESTABLISHED, ESTABLISHED_PER_PEER, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT,
    PENDING_INCOMING, PING_INTERVAL, PING_TIMEOUT, STREAMS_PER_CONNECTION,
};
use super::persistent;
use super::record::RECORD_BYTES_MAX;

type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) streams: libp2p_stream::Behaviour,
}

/// One topic per cluster name; the records inside name their cluster ids.
pub(super) fn topic(cluster_name: &str) -> IdentTopic {
    let name = blake3::hash(cluster_name.as_bytes()).to_hex();
    IdentTopic::new(format!("onrush/1/{}/nodes", &name[..16]))
}

/// A swarm that does not listen yet.
pub(super) fn build(
    key: &Keypair,
    psk: [u8; 32],
    cluster_name: &str,
) -> Result<Swarm<Behaviour>, String> {
    let transport = transport(key, psk, HANDSHAKE_TIMEOUT)?;
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(
            ConnectionLimits::default()
                .with_max_pending_incoming(Some(PENDING_INCOMING))
                .with_max_established(Some(ESTABLISHED))
                .with_max_established_per_peer(Some(ESTABLISHED_PER_PEER)),
        ),
        identify: identify::Behaviour::new(
            identify::Config::new("/onrush/1".to_owned(), key.public())
                .with_agent_version(concat!("onrush/", env!("CARGO_PKG_VERSION")).to_owned())
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
        ),
        gossip: gossip(cluster_name)?,
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        .with_notify_handler_buffer_size(NonZeroUsize::new(32).expect("32 is not zero"))
        .with_per_connection_event_buffer_size(64);
    Ok(Swarm::new(transport, behaviour, key.public().to_peer_id(), config))
}

/// The stack of transports; a connection that is not ready after `limit` hangs.
fn transport(
    key: &Keypair,
    psk: [u8; 32],
    limit: Duration,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, String> {
    let noise = noise::Config::new(key).map_err(|e| format!("noise: {e}"))?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS_PER_CONNECTION);
    let psk = PreSharedKey::new(psk);
    let tcp = persistent::Transport::new().map(|socket, _| {
        persistent::watch(&socket);
        socket
    });
    Ok(TransportTimeout::new(tcp, CONNECT_TIMEOUT)
        .map_err(|error| match error {
            TransportTimeoutError::Timeout => std::io::ErrorKind::TimedOut.into(),
            TransportTimeoutError::TimerError(error) | TransportTimeoutError::Other(error) => error,
        })
        .and_then(move |socket, _| PnetConfig::new(psk).handshake(socket))
        .map_err(|error| {
            let cause = error.either(|tcp| tcp, std::io::Error::other);
            std::io::Error::other(Below { away: Away(cause) })
        })
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(muxer)
        .timeout(limit)
        .map_err(|error| match error {
            TransportTimeoutError::Timeout => Failed::Hung,
            error => Failed::Otherwise(error.into()),
        })
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

/// Nobody listens there, the network is down, or the peer hung up before the keys could differ: all
/// that goes wrong below the handshakes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Away(std::io::Error);

/// The transports above wrap errors in `Either`, whose `source` skips the error that it holds; so
/// what is to be found must lie one level deeper.
#[derive(Debug, thiserror::Error)]
#[error("not connected")]
struct Below {
    #[source]
    away: Away,
}

/// Why there is no connection, on top of all transports.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the handshakes take too long")]
    Hung,
    #[error("{0}")]
    Otherwise(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a connection that did not come about says of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It failed below the handshakes, which says nothing about secrets.
    Away,
    /// The host answers, and nobody listens there: what did has ended.
    NobodyListens,
    /// The peer took part in the handshakes, and they failed.
    Refused,
    /// The peer is there, and did not end them in time. With another secret, that is what the first
    /// bytes decide: they are read as a length, and what is announced never comes.
    Hung,
}

pub(super) fn trouble(error: &TransportError<std::io::Error>) -> Trouble {
    let TransportError::Other(error) = error else { return Trouble::Away };
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if let Some(Away(cause)) = inner.downcast_ref() {
            return match cause.kind() {
                std::io::ErrorKind::ConnectionRefused => Trouble::NobodyListens,
                _ => Trouble::Away,
            };
        }
        if let Some(Failed::Hung) = inner.downcast_ref() {
            return Trouble::Hung;
        }
        source = inner.source();
    }
    Trouble::Refused
}

/// Anonymous mode with our own signature inside: gossipsub's signed mode verifies every copy that
/// arrives, ours is verified once, after de-duplication.
fn gossip(cluster_name: &str) -> Result<Gossip, String> {
    let config = gossipsub::ConfigBuilder::default()
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_secs(1))
        // Everyone is connected to everyone: a few paths reach all, and each one more is a copy more.
        .mesh_outbound_min(1)
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(6)
        .gossip_lazy(2)
        .gossip_factor(0.1)
        .flood_publish(false)
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .max_transmit_size(2 * RECORD_BYTES_MAX)
        .message_id_fn(|message| MessageId::from(blake3::hash(&message.data).as_bytes().as_slice()))
        .build()
        .map_err(|e| format!("gossip: {e}"))?;
    let topic = topic(cluster_name);
    let filter = WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let mut gossip =
        Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, config, filter)
            .map_err(|e| format!("gossip: {e}"))?;
    gossip.subscribe(&topic).map_err(|e| format!("gossip: {e}"))?;
    Ok(gossip)
}

/// What the actor calls the key in its messages: equal fingerprints mean equal secrets.
pub(super) fn fingerprint(psk: [u8; 32]) -> String {
    PreSharedKey::new(psk).fingerprint().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::Endpoint;
    use libp2p::core::transport::{DialOpts, PortUse};

    async fn dial(port: u16, limit: Duration) -> TransportError<std::io::Error> {
        let key = Keypair::generate_ed25519();
        let mut transport = transport(&key, [1; 32], limit).unwrap();
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        match transport.dial(address, options) {
            Ok(dialling) => TransportError::Other(dialling.await.map(drop).unwrap_err()),
            Err(error) => error,
        }
    }

    /// What a peer that sends these bytes and keeps the connection open is taken for.
    async fn trouble_with(bytes: &[u8], limit: Duration) -> Trouble {
        use tokio::io::AsyncWriteExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let speak = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream
        };
        let (error, _stream) = tokio::join!(dial(port, limit), speak);
        trouble(&error)
    }

    #[tokio::test]
    async fn a_peer_that_is_away_is_no_stranger() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let error = dial(port, HANDSHAKE_TIMEOUT).await;
        assert_eq!(trouble(&error), Trouble::NobodyListens, "{error:?}");
    }

    #[tokio::test]
    async fn a_peer_that_talks_nonsense_is_a_stranger() {
        assert_eq!(trouble_with(&[b'x'; 4_096], HANDSHAKE_TIMEOUT).await, Trouble::Refused);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_go_on_hangs() {
        let limit = Duration::from_millis(200);
        assert_eq!(trouble_with(b"", limit).await, Trouble::Hung);
        // As long as the nonce of the pre-shared key: it ends before the first handshake.
        assert_eq!(trouble_with(&[b'x'; 24], limit).await, Trouble::Hung);
    }
}
