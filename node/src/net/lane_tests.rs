//! Lanes over in-memory pipes: pairing of answers, order, deadlines, loss, malformed frames.

use super::*;
use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Connects each opened stream to a server running `handler`.
struct Pipes {
    handler: CallHandler,
    concurrency: usize,
}

#[async_trait]
impl StreamOpener for Pipes {
    async fn open(&self, peer: PeerId, _: StreamProtocol) -> Result<DuplexStream, MeshError> {
        let (near, far) = tokio::io::duplex(4_096);
        let name = PeerName(peer.to_string());
        tokio::spawn(serve(name, Box::new(far), Arc::clone(&self.handler), self.concurrency));
        Ok(Box::new(near))
    }
}

fn lane(concurrency: usize, handler: CallHandler) -> Lane {
    let opener = Arc::new(Pipes { handler, concurrency });
    let protocol = StreamProtocol::new("/test/1");
    let (lane, run) = Lane::new(opener, PeerId::random(), protocol);
    tokio::spawn(run);
    lane
}

fn echo() -> CallHandler {
    Arc::new(|_, body| async move { Ok(body) }.boxed())
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_call_gets_its_own_answer() {
    let lane = lane(8, echo());
    let calls = (0..500_u32).map(|n| {
        let lane = lane.clone();
        async move {
            let body = Bytes::from(n.to_string());
            assert_eq!(lane.call(body.clone(), 10 * SECOND).await.unwrap(), body);
        }
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn large_bodies_both_ways_do_not_lock_up() {
    let lane = lane(1, echo());
    let body = Bytes::from(vec![7; 2 * 1024 * 1024]);
    let calls = (0..6).map(|_| lane.call(body.clone(), 30 * SECOND));
    for answer in futures::future::join_all(calls).await {
        assert_eq!(answer.unwrap(), body);
    }
}

#[tokio::test]
async fn errors_and_limits_come_back_as_errors() {
    let lane = lane(1, Arc::new(|_, _| async { Err("no such thing".to_owned()) }.boxed()));
    let error = lane.call(Bytes::new(), SECOND).await.unwrap_err();
    assert_eq!(error.to_string(), "no such thing");
    let error = lane.call(Bytes::from(vec![0; FRAME_BYTES_MAX]), SECOND).await.unwrap_err();
    assert!(error.to_string().contains("over the limit"), "{error}");
}

#[tokio::test]
async fn a_slow_handler_is_dropped_at_the_deadline_and_the_next_call_served() {
    let handler: CallHandler = Arc::new(|_, body: Bytes| {
        async move {
            if body.is_empty() {
                tokio::time::sleep(100 * SECOND).await;
            }
            Ok(body)
        }
        .boxed()
    });
    let lane = lane(1, handler);
    let error = lane.call(Bytes::new(), SECOND / 10).await.unwrap_err();
    assert!(matches!(error, MeshError::Timeout { .. }));
    assert_eq!(lane.call(Bytes::from("x"), SECOND).await.unwrap(), "x");
}

#[tokio::test]
async fn a_broken_stream_fails_the_calls_under_way_and_the_next_one_reconnects() {
    let handler: CallHandler = Arc::new(|_, body: Bytes| {
        async move {
            // What a crashed peer looks like: the serving task ends, the pipe closes.
            assert!(!body.is_empty(), "crash on purpose");
            Ok(body)
        }
        .boxed()
    });
    let lane = lane(1, handler);
    assert!(matches!(lane.call(Bytes::new(), SECOND).await, Err(MeshError::Lost(_))));
    assert_eq!(lane.call(Bytes::from("x"), SECOND).await.unwrap(), "x");
}

#[tokio::test]
async fn malformed_frames_end_the_stream() {
    for junk in [
        &[0xff, 0xff, 0xff, 0xff, 1, 2, 3][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let (mut near, far) = tokio::io::duplex(4_096);
        let served = tokio::spawn(serve(PeerName::from("x"), Box::new(far), echo(), 1));
        near.write_all(junk).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(SECOND, near.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
        served.await.unwrap();
    }
}
