//! Node-to-node messages: the questions that members and joiners ask each other, and the header of
//! Raft's frames. Pinned by golden bytes; variants are only ever appended.

use bytes::{BufMut as _, Bytes, BytesMut};
use onrush_raft::codec;
use onrush_raft::ledger::command::Proposal;
use onrush_raft::ledger::outcome::{Outcome, Rejection};
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ClusterId, PeerName, RaftId};
use serde::{Deserialize, Serialize};

/// Kinds of the codec's envelope.
const CLUSTER_REQUEST: u8 = codec::kind::NODE;
const CLUSTER_REPLY: u8 = codec::kind::NODE + 1;

/// What a node asks of a member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterRequest {
    /// Admit the caller to the cluster. Any member passes it on to the master.
    Join { cluster: ClusterId, name: String },
    /// Commit this; only the master does.
    Propose { cluster: ClusterId, proposal: Box<Proposal> },
    /// The index to wait for before a read; only the master knows.
    ReadIndex { cluster: ClusterId },
    /// The asked node's view of Raft.
    Status { cluster: ClusterId },
    /// Is this still the id of a member, by the asked node's ledger?
    Standing { cluster: ClusterId, raft_id: RaftId },
    /// [`ClusterRequest::Join`] of a node that lost the log of this id, and gave it up for good.
    Rejoin { cluster: ClusterId, name: String, left: RaftId },
}

impl ClusterRequest {
    pub fn cluster(&self) -> &ClusterId {
        match self {
            Self::Join { cluster, .. }
            | Self::Propose { cluster, .. }
            | Self::ReadIndex { cluster }
            | Self::Status { cluster }
            | Self::Standing { cluster, .. }
            | Self::Rejoin { cluster, .. } => cluster,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClusterReply {
    /// Admitted: bind to this, then announce it.
    Offer {
        raft_id: RaftId,
    },
    Done,
    Applied {
        index: u64,
        result: Result<Outcome, Rejection>,
    },
    Index(u64),
    Status(Box<RaftStatus>),
    /// Certainly not carried out; who leads, as far as the asked node knows.
    NotLeader(Option<PeerName>),
    /// The asked node does not belong to that cluster.
    NotMember,
    /// It may or may not be carried out.
    NoQuorum(String),
    Failed(String),
    /// That member was removed.
    Removed,
    /// The caller is a member under this id, and must give it up before it gets another.
    Bound(RaftId),
    /// Certainly not carried out: the master's disk is full.
    NoRoom(String),
}

/// # Errors
/// A message of more than 8 MiB.
pub fn encode_request(request: &ClusterRequest) -> Result<Bytes, codec::Error> {
    codec::encode(CLUSTER_REQUEST, request).map(Bytes::from)
}

/// # Errors
/// Bytes that are not a request.
pub fn decode_request(bytes: &[u8]) -> Result<ClusterRequest, codec::Error> {
    codec::decode(CLUSTER_REQUEST, bytes)
}

/// # Errors
/// A message of more than 8 MiB.
pub fn encode_reply(reply: &ClusterReply) -> Result<Bytes, codec::Error> {
    codec::encode(CLUSTER_REPLY, reply).map(Bytes::from)
}

/// # Errors
/// Bytes that are not a reply.
pub fn decode_reply(bytes: &[u8]) -> Result<ClusterReply, codec::Error> {
    codec::decode(CLUSTER_REPLY, bytes)
}

/// In front of each of Raft's messages: which cluster, to whom, from whom. What does not match never
/// reaches Raft, so a copied or wiped data directory cannot speak for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftHeader {
    pub cluster: [u8; 16],
    pub to: RaftId,
    pub from: RaftId,
}

const RAFT_VERSION: u8 = 1;
const RAFT_HEADER_BYTES: usize = 1 + 16 + 8 + 8;

impl RaftHeader {
    pub fn new(cluster: &ClusterId, to: RaftId, from: RaftId) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(cluster.0.as_bytes()).as_bytes()[..16]);
        Self { cluster: short, to, from }
    }

    pub fn prepend(&self, body: &[u8]) -> Bytes {
        let mut frame = BytesMut::with_capacity(RAFT_HEADER_BYTES + body.len());
        frame.put_u8(RAFT_VERSION);
        frame.put_slice(&self.cluster);
        frame.put_u64(self.to);
        frame.put_u64(self.from);
        frame.put_slice(body);
        frame.freeze()
    }

    /// The header and the body; `None` where it is none.
    pub fn split(frame: &Bytes) -> Option<(Self, Bytes)> {
        let header = frame.get(..RAFT_HEADER_BYTES)?;
        let (&version, rest) = header.split_first()?;
        let (cluster, rest) = rest.split_first_chunk::<16>()?;
        let (to, from) = rest.split_first_chunk::<8>()?;
        let from = <[u8; 8]>::try_from(from).ok()?;
        let header =
            Self { cluster: *cluster, to: u64::from_be_bytes(*to), from: u64::from_be_bytes(from) };
        (version == RAFT_VERSION).then(|| (header, frame.slice(RAFT_HEADER_BYTES..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let cluster = ClusterId::from("c1");
        let bytes = encode_request(&ClusterRequest::ReadIndex { cluster }).unwrap();
        let body = [&[2, 0, 0, 0][..], &[2, 0, 0, 0, 0, 0, 0, 0], b"c1"];
        assert_eq!(bytes[codec::HEADER_BYTES..], body.concat());
        assert_eq!(bytes[2], 0x80);
        let bytes = encode_reply(&ClusterReply::NotLeader(None)).unwrap();
        assert_eq!(bytes[codec::HEADER_BYTES..], [5, 0, 0, 0, 0]);
        assert_eq!(bytes[2], 0x81);
        let cluster = ClusterId::from("c1");
        let bytes = encode_request(&ClusterRequest::Standing { cluster, raft_id: 7 }).unwrap();
        let body = [&[4, 0, 0, 0][..], &[2, 0, 0, 0, 0, 0, 0, 0], b"c1", &[7, 0, 0, 0, 0, 0, 0, 0]];
        assert_eq!(bytes[codec::HEADER_BYTES..], body.concat());
        let bytes = encode_reply(&ClusterReply::Removed).unwrap();
        assert_eq!(bytes[codec::HEADER_BYTES..], [9, 0, 0, 0]);
        let (cluster, name) = (ClusterId::from("c1"), "n".to_owned());
        let bytes = encode_request(&ClusterRequest::Rejoin { cluster, name, left: 7 }).unwrap();
        assert_eq!(bytes[codec::HEADER_BYTES..][..4], [5, 0, 0, 0]);
        let bytes = encode_reply(&ClusterReply::Bound(7)).unwrap();
        assert_eq!(bytes[codec::HEADER_BYTES..], [10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = encode_reply(&ClusterReply::NoRoom("x".to_owned())).unwrap();
        let body = [&[11, 0, 0, 0][..], &[1, 0, 0, 0, 0, 0, 0, 0], b"x"];
        assert_eq!(bytes[codec::HEADER_BYTES..], body.concat());
    }

    #[test]
    fn a_status_survives_the_wire() {
        let status = RaftStatus { leader: Some(3), quorum_ack_ms: None, ..RaftStatus::default() };
        let reply = ClusterReply::Status(Box::new(status));
        assert_eq!(decode_reply(&encode_reply(&reply).unwrap()).unwrap(), reply);
    }

    #[test]
    fn raft_headers_are_checked() {
        let header = RaftHeader::new(&ClusterId::from("c1"), 2, 9);
        let frame = header.prepend(b"body");
        assert_eq!(RaftHeader::split(&frame), Some((header, Bytes::from("body"))));
        assert_eq!(RaftHeader::split(&frame.slice(..20)), None);
        let mut other = frame.to_vec();
        other[0] = 2;
        assert_eq!(RaftHeader::split(&Bytes::from(other)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_request(&bytes);
            let _ = decode_reply(&bytes);
            let _ = RaftHeader::split(&Bytes::from(bytes));
        }
    }
}
