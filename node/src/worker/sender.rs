//! What of one shard's spool goes to the master in the present session, and from where on. Pure but
//! for the spool it is given. It refuses to begin by itself: only the master knows which frames the
//! ledger has, so nothing is sent before it asked.

use bytes::Bytes;

/// Where frames wait until a committed tick covers them.
pub trait Spool {
    type Error;

    /// The newest frame ever kept; 0 for none.
    fn newest(&self) -> u64;

    /// A frame, or none where it was freed.
    ///
    /// # Errors
    /// It cannot be read back.
    fn frame(&self, seq: u64) -> Result<Option<Bytes>, Self::Error>;
}

/// The frames after `newest` cannot be read back: the master must not wait for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage<E> {
    pub newest: u64,
    pub error: E,
}

#[derive(Debug, Default)]
pub struct Sender {
    /// The last frame sent in this session; none before the master asked.
    sent: Option<u64>,
}

impl Sender {
    /// What was sent in an earlier session may not have arrived.
    pub fn session_began(&mut self) {
        self.sent = None;
    }

    /// The master asks for the frames after `cursor`, those sent before included.
    pub fn resend(&mut self, cursor: u64) {
        self.sent = Some(cursor);
    }

    /// Sends what was not sent in this session, in order, for as long as there is `room`.
    ///
    /// # Errors
    /// A frame cannot be read: nothing more is sent in this session.
    pub fn pump<S: Spool, P>(
        &mut self,
        spool: &S,
        mut room: impl FnMut() -> Option<P>,
        mut send: impl FnMut(P, u64, Bytes),
    ) -> Result<(), Damage<S::Error>> {
        while let Some(sent) = self.sent.filter(|sent| *sent < spool.newest()) {
            let Some(place) = room() else { break };
            let seq = sent + 1;
            match spool.frame(seq) {
                Ok(Some(body)) => send(place, seq, body),
                // Freed: the ledger has it.
                Ok(None) => {}
                Err(error) => {
                    self.sent = None;
                    return Err(Damage { newest: sent, error });
                }
            }
            self.sent = Some(seq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames `freed + 1 ..= newest`; the one numbered `damaged` cannot be read.
    struct Shelf {
        freed: u64,
        newest: u64,
        damaged: u64,
    }

    impl Spool for Shelf {
        type Error = u64;

        fn newest(&self) -> u64 {
            self.newest
        }

        fn frame(&self, seq: u64) -> Result<Option<Bytes>, u64> {
            if seq == self.damaged {
                return Err(seq);
            }
            Ok((seq > self.freed).then(|| Bytes::from(vec![0; 1])))
        }
    }

    fn sent(sender: &mut Sender, shelf: &Shelf, mut room: usize) -> Vec<u64> {
        let mut all = Vec::new();
        let place = || {
            room = room.checked_sub(1)?;
            Some(())
        };
        sender.pump(shelf, place, |(), seq, _| all.push(seq)).unwrap();
        all
    }

    #[test]
    fn nothing_is_sent_before_the_master_asks_and_all_again_when_it_asks_again() {
        let mut shelf = Shelf { freed: 0, newest: 3, damaged: 0 };
        let mut sender = Sender::default();
        assert!(sent(&mut sender, &shelf, 9).is_empty());
        sender.resend(1);
        assert_eq!(sent(&mut sender, &shelf, 9), [2, 3]);
        assert!(sent(&mut sender, &shelf, 9).is_empty());
        shelf.newest = 4;
        assert_eq!(sent(&mut sender, &shelf, 9), [4]);
        sender.resend(0);
        assert_eq!(sent(&mut sender, &shelf, 9), [1, 2, 3, 4]);
        sender.session_began();
        shelf.newest = 5;
        assert!(sent(&mut sender, &shelf, 9).is_empty());
    }

    #[test]
    fn what_finds_no_room_is_sent_later_and_what_was_freed_never() {
        let shelf = Shelf { freed: 2, newest: 6, damaged: 0 };
        let mut sender = Sender::default();
        sender.resend(1);
        assert_eq!(sent(&mut sender, &shelf, 2), [3]);
        assert_eq!(sent(&mut sender, &shelf, 2), [4, 5]);
        assert_eq!(sent(&mut sender, &shelf, 2), [6]);
    }

    #[test]
    fn damage_names_the_last_frame_that_can_be_read_and_ends_the_sending() {
        let shelf = Shelf { freed: 0, newest: 4, damaged: 3 };
        let mut sender = Sender::default();
        sender.resend(0);
        let mut all = Vec::new();
        let end = sender.pump(&shelf, || Some(()), |(), seq, _| all.push(seq));
        assert_eq!((all, end), (vec![1, 2], Err(Damage { newest: 2, error: 3 })));
        assert!(sent(&mut sender, &shelf, 9).is_empty());
    }
}
