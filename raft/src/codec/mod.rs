//! Bytes on disk and between nodes: the only file that names bincode.
//!
//! ```text
//! magic u16 | kind u8 | version u8 | body length u32 | crc32c of kind, version, length, body u32 | body
//! ```
//! All integers little-endian; the body is bincode's `legacy` layout (that of bincode 1: fixed
//! integers), which two other crates also write, should bincode have to go (RUSTSEC-2025-0141:
//! unmaintained, no vulnerability). It is positional: variants and fields are only ever appended,
//! with a new version; no `skip`, `default`, `flatten` or `untagged`. Types of other crates are
//! never encoded, only our own. Decoding refuses what is too long, cut short, changed, of another
//! kind or newer, and bytes after the end.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// `OR`.
const MAGIC: u16 = u16::from_le_bytes(*b"OR");
/// Version of the bodies that this program writes.
pub const VERSION: u8 = 1;
pub const HEADER_BYTES: usize = 12;
/// A message between nodes, or a log entry.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// A snapshot of the ledger; an alarm is raised long before.
pub const SNAPSHOT_BYTES_MAX: usize = 1_024 * 1_024 * 1_024;

/// What a body is. Append-only; 0x80 and above belong to the node's own wire.
pub mod kind {
    pub const LEDGER: u8 = 1;
    pub const LOG_ENTRY: u8 = 2;
    pub const VOTE: u8 = 3;
    pub const LOG_ID: u8 = 4;
    pub const SNAPSHOT_META: u8 = 5;
    pub const RAFT_REQUEST: u8 = 6;
    pub const RAFT_RESPONSE: u8 = 7;
    pub const PROPOSAL: u8 = 8;
    pub const OUTCOME: u8 = 9;
    /// The first kind of the node's own wire.
    pub const NODE: u8 = 0x80;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{found} bytes are too few: {needed} needed")]
    Short { found: usize, needed: usize },
    #[error("the first bytes are not Onrush's")]
    Magic,
    #[error("this is a record of kind {found}, not {expected}")]
    Kind { expected: u8, found: u8 },
    #[error("written in format {found}; this program reads up to {VERSION}: it is older")]
    Newer { found: u8 },
    #[error("checksum mismatch: {found:08x} where {expected:08x} was written")]
    Checksum { expected: u32, found: u32 },
    #[error("{0} bytes after the end")]
    Trailing(usize),
    #[error("{size} bytes; at most {max} are allowed")]
    TooLarge { size: usize, max: usize },
    #[error("malformed body: {0}")]
    Body(String),
}

/// Encodes a message or record of at most [`MESSAGE_BYTES_MAX`].
pub fn encode<T: Serialize>(kind: u8, value: &T) -> Result<Vec<u8>, Error> {
    encode_with::<MESSAGE_BYTES_MAX, T>(kind, value)
}

/// Decodes a message or record of at most [`MESSAGE_BYTES_MAX`].
pub fn decode<T: DeserializeOwned>(kind: u8, bytes: &[u8]) -> Result<T, Error> {
    decode_with::<MESSAGE_BYTES_MAX, T>(kind, bytes)
}

/// [`encode`] with a bound of one's own.
pub fn encode_with<const MAX: usize, T: Serialize>(kind: u8, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEADER_BYTES];
    let config = bincode::config::legacy();
    bincode::serde::encode_into_std_write(value, &mut bytes, config)
        .map_err(|error| Error::Body(error.to_string()))?;
    let size = bytes.len() - HEADER_BYTES;
    let len = u32::try_from(size).ok().filter(|_| size <= MAX);
    let len = len.ok_or(Error::TooLarge { size, max: MAX })?;
    bytes[..2].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[2] = kind;
    bytes[3] = VERSION;
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// [`decode`] with a bound of one's own.
pub fn decode_with<const MAX: usize, T: DeserializeOwned>(
    kind: u8,
    bytes: &[u8],
) -> Result<T, Error> {
    let body = check::<MAX>(kind, bytes)?;
    let config = bincode::config::legacy().with_limit::<MAX>();
    let (value, read) = bincode::serde::decode_from_slice(body, config)
        .map_err(|error| Error::Body(error.to_string()))?;
    if read < body.len() {
        return Err(Error::Trailing(body.len() - read));
    }
    Ok(value)
}

/// The body, once the envelope is found whole.
fn check<const MAX: usize>(kind: u8, bytes: &[u8]) -> Result<&[u8], Error> {
    let (header, body) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(Error::Short { found: bytes.len(), needed: HEADER_BYTES })?;
    let &[m0, m1, found_kind, version, l0, l1, l2, l3, c0, c1, c2, c3] = header;
    if u16::from_le_bytes([m0, m1]) != MAGIC {
        return Err(Error::Magic);
    }
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if len > MAX {
        return Err(Error::TooLarge { size: len, max: MAX });
    }
    if body.len() < len {
        return Err(Error::Short { found: body.len(), needed: len });
    }
    if body.len() > len {
        return Err(Error::Trailing(body.len() - len));
    }
    let (expected, found) = (u32::from_le_bytes([c0, c1, c2, c3]), checksum(bytes));
    if expected != found {
        return Err(Error::Checksum { expected, found });
    }
    if found_kind != kind {
        return Err(Error::Kind { expected: kind, found: found_kind });
    }
    if version > VERSION {
        return Err(Error::Newer { found: version });
    }
    Ok(body)
}

/// Of everything but the magic and itself.
fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[2..8]), &bytes[HEADER_BYTES..])
}

#[cfg(test)]
mod tests;
