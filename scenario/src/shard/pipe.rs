//! How messages cross the pipes between a node and its shard processes, written and read blocking.
//! To the child: `u32` length (little endian) and JSON. From it: kind, length and body, as
//! [`super`] says. Lengths are checked before anything is allocated.

use std::io::{self, Read, Write};

use super::{FromShard, ToShard};
use crate::stats::frame::{self, FRAME_BYTES_MAX, Frame};

/// A message of the node to its child, or one of the child's that is no frame.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

pub const KIND_JSON: u8 = 0;
pub const KIND_FRAME: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the pipe broke")]
    Io(#[from] io::Error),
    #[error("a message of {0} bytes, the limit is {limit}", limit = FRAME_BYTES_MAX.max(MESSAGE_BYTES_MAX))]
    TooLarge(usize),
    #[error("a message that cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a frame that cannot be read: {0}")]
    Frame(#[from] frame::Error),
    #[error("a message of unknown kind {0}")]
    Kind(u8),
}

/// What a child sends.
#[derive(Debug)]
pub enum Sent {
    Message(FromShard),
    Frame(Box<Frame>),
}

/// The next message to the child; none at the end of the pipe.
///
/// # Errors
/// A broken pipe or an unreadable message.
pub fn read_to_shard(from: &mut impl Read) -> Result<Option<ToShard>, Error> {
    let mut length = [0; 4];
    if !read_or_end(from, &mut length)? {
        return Ok(None);
    }
    let body = read_body(from, u32::from_le_bytes(length), MESSAGE_BYTES_MAX)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// # Errors
/// A broken pipe.
pub fn write_to_shard(to: &mut impl Write, message: &ToShard) -> Result<(), Error> {
    let body = serde_json::to_vec(message)?;
    to.write_all(&length_of(&body, MESSAGE_BYTES_MAX)?.to_le_bytes())?;
    to.write_all(&body)?;
    Ok(to.flush()?)
}

/// The next message of the child; none at the end of the pipe.
///
/// # Errors
/// A broken pipe or an unreadable message.
pub fn read_from_shard(from: &mut impl Read) -> Result<Option<Sent>, Error> {
    let mut kind = [0; 1];
    if !read_or_end(from, &mut kind)? {
        return Ok(None);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let body = read_body(from, u32::from_le_bytes(length), limit_of(kind[0]))?;
    Ok(Some(match kind[0] {
        KIND_JSON => Sent::Message(serde_json::from_slice(&body)?),
        KIND_FRAME => Sent::Frame(Box::new(Frame::decode(&body)?)),
        other => return Err(Error::Kind(other)),
    }))
}

/// # Errors
/// A broken pipe.
pub fn write_from_shard(to: &mut impl Write, message: &FromShard) -> Result<(), Error> {
    write_kind(to, KIND_JSON, &serde_json::to_vec(message)?)
}

/// # Errors
/// A broken pipe, or a frame that nothing brings within the limit.
pub fn write_frame(to: &mut impl Write, frame: &Frame) -> Result<(), Error> {
    write_kind(to, KIND_FRAME, &frame.encode_within())
}

fn write_kind(to: &mut impl Write, kind: u8, body: &[u8]) -> Result<(), Error> {
    to.write_all(&[kind])?;
    to.write_all(&length_of(body, limit_of(kind))?.to_le_bytes())?;
    to.write_all(body)?;
    Ok(to.flush()?)
}

/// The most bytes of a message of the child: one limit for who writes it and for all who read it.
#[must_use]
pub fn limit_of(kind: u8) -> usize {
    if kind == KIND_FRAME { FRAME_BYTES_MAX } else { MESSAGE_BYTES_MAX }
}

fn length_of(body: &[u8], limit: usize) -> Result<u32, Error> {
    u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= limit)
        .ok_or(Error::TooLarge(body.len()))
}

fn read_body(from: &mut impl Read, length: u32, limit: usize) -> Result<Vec<u8>, Error> {
    let length = length as usize;
    if length > limit {
        return Err(Error::TooLarge(length));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

/// False at the end of the pipe, if that is where a message would begin.
fn read_or_end(from: &mut impl Read, into: &mut [u8]) -> Result<bool, Error> {
    let read = loop {
        match from.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if read == 0 {
        return Ok(false);
    }
    from.read_exact(&mut into[read..])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_frames_cross() {
        let mut pipe = Vec::new();
        write_to_shard(
            &mut pipe,
            &ToShard::Start { at_boot_us: 7, clock_error_us: 1, take_over: None },
        )
        .unwrap();
        let mut read = pipe.as_slice();
        let message = read_to_shard(&mut read).unwrap();
        assert!(matches!(message, Some(ToShard::Start { at_boot_us: 7, .. })));
        assert!(read_to_shard(&mut read).unwrap().is_none());

        let mut pipe = Vec::new();
        let frame = Frame { version: frame::FRAME_VERSION, seq: 3, ..Frame::default() };
        write_frame(&mut pipe, &frame).unwrap();
        let reason = super::super::EndReason::Completed;
        write_from_shard(&mut pipe, &FromShard::Finished { reason }).unwrap();
        let mut read = pipe.as_slice();
        let first = read_from_shard(&mut read).unwrap();
        assert!(matches!(first, Some(Sent::Frame(frame)) if frame.seq == 3));
        let second = read_from_shard(&mut read).unwrap();
        assert!(matches!(second, Some(Sent::Message(FromShard::Finished { .. }))));
        assert!(read_from_shard(&mut read).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_refused_before_it_is_read() {
        let mut huge: &[u8] = &[0xff; 4];
        assert!(matches!(read_to_shard(&mut huge), Err(Error::TooLarge(_))));
        let mut kind: &[u8] = &[9, 0, 0, 0, 0];
        assert!(matches!(read_from_shard(&mut kind), Err(Error::Kind(9))));
        let mut torn: &[u8] = &[4, 0];
        assert!(matches!(read_to_shard(&mut torn), Err(Error::Io(_))));
    }
}
