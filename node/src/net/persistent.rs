//! TCP connections that come about, and end, within a second or two of what the network does.
//!
//! Left alone, TCP answers silence with patience: it sends again after 0.2, 0.6, 1.4, 3 and then
//! 6.2 seconds, so that a cut of four seconds holds a connection up for six: longer than a lease.
//! Here a connection whose data is not acknowledged for [`UNACKNOWLEDGED_MAX`] ends, and one that is
//! to be made knocks every [`KNOCK_AGAIN`], whatever becomes of its earlier tries.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::Ready;
use futures::stream::FuturesUnordered;
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::tcp;
use libp2p::tcp::tokio::{TcpStream, Transport as Tcp};

use super::limits::{KNOCK_AGAIN, KNOCK_MAX, UNACKNOWLEDGED_MAX};

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

pub(super) struct Transport {
    tcp: Tcp,
}

impl Transport {
    pub(super) fn new() -> Self {
        Self { tcp: Tcp::new(config()) }
    }
}

fn config() -> tcp::Config {
    tcp::Config::new().nodelay(true)
}

impl libp2p::Transport for Transport {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<TcpStream>>;
    type Dial = Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Dial, TransportError<io::Error>> {
        let first = self.tcp.dial(address.clone(), options)?;
        let again = move || {
            let dialled = Tcp::new(config()).dial(address.clone(), options);
            dialled.map_err(|error| match error {
                TransportError::Other(error) => error,
                other => io::Error::other(other.to_string()),
            })
        };
        Ok(Box::pin(knock(first, again, KNOCK_AGAIN)))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.tcp).poll(context)
    }
}

/// The first of several tries that is answered, be it with a refusal.
async fn knock(
    first: Dial,
    again: impl Fn() -> io::Result<Dial> + Send,
    every: Duration,
) -> io::Result<TcpStream> {
    let mut tries = FuturesUnordered::from_iter([tokio::time::timeout(KNOCK_MAX, first)]);
    let mut next = tokio::time::interval(every);
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first one comes at once.
    next.tick().await;
    loop {
        tokio::select! {
            biased;
            Some(Ok(answer)) = tries.next() => match answer {
                Err(error) if is_no_answer(&error) => {}
                answer => return answer,
            },
            _ = next.tick() => tries.push(tokio::time::timeout(KNOCK_MAX, again()?)),
        }
    }
}

/// The network's own word that the way is cut, which the next try may find mended.
fn is_no_answer(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), HostUnreachable | NetworkUnreachable | TimedOut)
}

/// Both sides of a connection find out soon when the other is not reached any more.
pub(super) fn watch(stream: &TcpStream) {
    use rustix::net::sockopt;
    let limit_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    let second = Duration::from_secs(1);
    let set = sockopt::set_tcp_user_timeout(&stream.0, limit_ms)
        .and_then(|()| sockopt::set_socket_keepalive(&stream.0, true))
        .and_then(|()| sockopt::set_tcp_keepidle(&stream.0, second))
        .and_then(|()| sockopt::set_tcp_keepintvl(&stream.0, second));
    if let Err(error) = set {
        // Pings will find out as well, later.
        tracing::debug!(%error, "a connection without limits of its own");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn never() -> Dial {
        Box::pin(std::future::pending())
    }

    fn failing(kind: io::ErrorKind) -> Dial {
        Box::pin(async move { Err(kind.into()) })
    }

    async fn connected() -> (TcpStream, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (TcpStream(tokio::net::TcpStream::connect(address).await.unwrap()), listener)
    }

    /// Once the kernel alone tried again, after 1, 3 and 7 seconds.
    #[tokio::test]
    async fn what_the_network_lost_is_tried_again_all_the_time() {
        let tries = AtomicU32::new(1);
        let again = || {
            // The way is cut; at last somebody is there, and refuses.
            Ok(match tries.fetch_add(1, Ordering::Relaxed) {
                1 | 3 | 5 => never(),
                2 | 4 => failing(io::ErrorKind::HostUnreachable),
                _ => failing(io::ErrorKind::ConnectionRefused),
            })
        };
        let answer = knock(never(), again, Duration::from_millis(2)).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tries.into_inner(), 7);
    }

    #[tokio::test]
    async fn an_answer_is_not_asked_for_twice() {
        let refused = failing(io::ErrorKind::ConnectionRefused);
        let again = || Err(io::Error::other("once is enough"));
        let answer = knock(refused, again, Duration::from_secs(60)).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_connection_knows_its_limit() {
        use rustix::net::sockopt;
        let (stream, _listener) = connected().await;
        watch(&stream);
        assert_eq!(sockopt::tcp_user_timeout(&stream.0).unwrap(), 3_000);
        assert!(sockopt::socket_keepalive(&stream.0).unwrap());
    }
}
