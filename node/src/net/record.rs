//! Signed node records: encoding, verification, and which of two records wins. Pure. Refuses
//! records that another key signed, that are too large, or that would lock a name for ever.
//!
//! JSON, not the binary codec: hello and records are what nodes of different versions must be able
//! to read of each other before anything else.

use std::net::IpAddr;

use libp2p::PeerId;
use libp2p::identity::{Keypair, PublicKey};
use serde::{Deserialize, Serialize};

use super::NodeRecord;
use super::contact::ContactPoint;

/// A signed record on the wire, at most.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Addresses kept of a record; the rest is cut.
pub const ADDRESSES_MAX: usize = 16;
/// Labels kept of a record.
const LABELS_MAX: usize = 32;
/// Characters of a name, label, version.
const TEXT_MAX: usize = 256;
/// No node lives long enough to reach these; a record beyond them would never be replaced.
const SEQ_MAX: u64 = 1 << 40;
const INCARNATION_MAX: u64 = 1 << 32;
/// What is signed begins with this, so that a signature is good for nothing else.
const CONTEXT: &[u8] = b"onrush/node-record/1\0";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the record is longer than {RECORD_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the record cannot be read: {0}")]
    Malformed(String),
    #[error("the record says it is of {claimed}, but {signer} signed it")]
    Impostor { claimed: String, signer: String },
    #[error("the signature is wrong")]
    Signature,
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

/// A record with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Envelope {
    /// Public key, protobuf, hex.
    key: String,
    /// The record's JSON, exactly as signed.
    record: String,
    /// Over [`CONTEXT`] and `record`, hex.
    signature: String,
}

/// Signs and encodes.
pub fn seal(record: &NodeRecord, key: &Keypair) -> Result<Vec<u8>, Error> {
    let text = serde_json::to_string(record).map_err(|e| Error::Malformed(e.to_string()))?;
    let signature = key.sign(&signed_bytes(&text)).map_err(|_| Error::Signature)?;
    let envelope = Envelope {
        key: hex(&key.public().encode_protobuf()),
        record: text,
        signature: hex(&signature),
    };
    let bytes = serde_json::to_vec(&envelope).map_err(|e| Error::Malformed(e.to_string()))?;
    if bytes.len() > RECORD_BYTES_MAX { Err(Error::TooLarge) } else { Ok(bytes) }
}

/// Decodes, verifies, and cuts to size.
pub fn open(bytes: &[u8]) -> Result<(PeerId, NodeRecord), Error> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let malformed = |e: serde_json::Error| Error::Malformed(e.to_string());
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(malformed)?;
    let key = unhex(&envelope.key)
        .and_then(|raw| PublicKey::try_decode_protobuf(&raw).ok())
        .ok_or_else(|| Error::Malformed("not a public key".to_owned()))?;
    let signature = unhex(&envelope.signature).ok_or(Error::Signature)?;
    if !key.verify(&signed_bytes(&envelope.record), &signature) {
        return Err(Error::Signature);
    }
    let signer = key.to_peer_id();
    let record: NodeRecord = serde_json::from_str(&envelope.record).map_err(malformed)?;
    if record.peer.0 != signer.to_string() {
        return Err(Error::Impostor { claimed: record.peer.0, signer: signer.to_string() });
    }
    Ok((signer, sanitize(record)?))
}

/// Whether `new` replaces `old`: a later life always, in the same life a later number.
pub fn replaces(new: &NodeRecord, old: &NodeRecord) -> bool {
    (new.incarnation, new.seq) > (old.incarnation, old.seq)
}

fn sanitize(mut record: NodeRecord) -> Result<NodeRecord, Error> {
    if record.seq > SEQ_MAX {
        return Err(Error::OutOfRange("seq"));
    }
    if record.incarnation > INCARNATION_MAX {
        return Err(Error::OutOfRange("incarnation"));
    }
    let texts = [&record.name, &record.version, &record.cluster_state];
    if texts.iter().any(|text| text.len() > TEXT_MAX || text.chars().any(char::is_control)) {
        return Err(Error::OutOfRange("a text"));
    }
    if record.labels.iter().any(|(key, value)| key.len() > TEXT_MAX || value.len() > TEXT_MAX) {
        return Err(Error::OutOfRange("a label"));
    }
    record.addresses.retain(|address| dialable(address));
    record.addresses.truncate(ADDRESSES_MAX);
    while record.labels.len() > LABELS_MAX {
        record.labels.pop_last();
    }
    Ok(record)
}

/// An address that a node may be asked to dial: never multicast, broadcast or unspecified.
fn dialable(address: &str) -> bool {
    match address.parse::<ContactPoint>() {
        Ok(ContactPoint { host, .. }) => match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
            Ok(IpAddr::V6(ip)) => !ip.is_multicast() && !ip.is_unspecified(),
            Err(_) => true,
        },
        Err(_) => false,
    }
}

fn signed_bytes(text: &str) -> Vec<u8> {
    [CONTEXT, text.as_bytes()].concat()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use onrush_raft::types::PeerName;
    use proptest::prelude::*;

    fn record(key: &Keypair) -> NodeRecord {
        NodeRecord {
            peer: PeerName(key.public().to_peer_id().to_string()),
            name: "a".to_owned(),
            incarnation: 3,
            seq: 7,
            addresses: vec!["127.0.0.1:7441".to_owned()],
            ..NodeRecord::default()
        }
    }

    #[test]
    fn what_was_sealed_opens() {
        let key = Keypair::generate_ed25519();
        let bytes = seal(&record(&key), &key).unwrap();
        assert!(bytes.len() <= 1_024, "{} bytes", bytes.len());
        assert_eq!(open(&bytes).unwrap(), (key.public().to_peer_id(), record(&key)));
    }

    #[test]
    fn a_record_of_another_node_is_refused() {
        let (key, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let bytes = seal(&record(&other), &key).unwrap();
        assert!(matches!(open(&bytes), Err(Error::Impostor { .. })));
    }

    #[test]
    fn a_changed_record_is_refused() {
        let key = Keypair::generate_ed25519();
        let bytes = seal(&record(&key), &key).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("7441", "7442");
        assert_eq!(open(text.as_bytes()), Err(Error::Signature));
    }

    #[test]
    fn extreme_numbers_lock_nothing() {
        let key = Keypair::generate_ed25519();
        let max = NodeRecord { seq: u64::MAX, ..record(&key) };
        assert_eq!(open(&seal(&max, &key).unwrap()), Err(Error::OutOfRange("seq")));
        let max = NodeRecord { incarnation: u64::MAX, ..record(&key) };
        assert_eq!(open(&seal(&max, &key).unwrap()), Err(Error::OutOfRange("incarnation")));
    }

    #[test]
    fn addresses_are_cut_and_cleaned() {
        let key = Keypair::generate_ed25519();
        let mut many = record(&key);
        many.addresses = ["224.0.0.1:1", "0.0.0.0:1", "[ff02::1]:1", "nonsense", "10.0.0.1:7441"]
            .map(str::to_owned)
            .into();
        many.addresses.extend((0..100).map(|n| format!("10.0.1.{n}:7441")));
        let (_, opened) = open(&seal(&many, &key).unwrap()).unwrap();
        assert_eq!(opened.addresses.len(), ADDRESSES_MAX);
        assert_eq!(opened.addresses[0], "10.0.0.1:7441");
        many.addresses.extend((0..10_000).map(|n| format!("10.0.1.1:{n}")));
        assert_eq!(seal(&many, &key), Err(Error::TooLarge));
    }

    #[test]
    fn a_later_life_wins_then_a_later_number() {
        let key = Keypair::generate_ed25519();
        let old = record(&key);
        assert!(!replaces(&old, &old));
        assert!(replaces(&NodeRecord { seq: 8, ..old.clone() }, &old));
        assert!(!replaces(&NodeRecord { seq: 6, ..old.clone() }, &old));
        assert!(replaces(&NodeRecord { incarnation: 4, seq: 0, ..old.clone() }, &old));
        assert!(!replaces(&NodeRecord { incarnation: 2, seq: 99, ..old.clone() }, &old));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(open(&bytes).is_err());
        }
    }
}
