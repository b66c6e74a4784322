//! A frame within the one limit that everything behind the shard keeps to. What is too large by
//! itself is made smaller here, by its writer, and says so: examples go first, then the rarest rows
//! of the largest list are counted under `(other)`. Every total stays what it was. Pure.

use serde::{Deserialize, Serialize};

use super::frame::{ErrorDelta, FRAME_BYTES_MAX, Frame, GroupDelta, RequestDelta};
use super::record::OTHER;

/// What a frame does not tell apart, though it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// Requests, groups and kinds of errors that are counted under `(other)`.
    pub rows: u64,
    /// Examples of errors that were left out.
    pub examples: u64,
}

impl Folded {
    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.examples += other.examples;
    }
}

/// A row that can be counted together with others of its list.
trait Fold: Serialize {
    fn is_other(&self) -> bool;
    /// How much it counts for: the rarest goes first.
    fn weight(&self) -> u64;
    /// What it is counted under.
    fn other() -> Self;
    fn take_in(&mut self, row: Self);
}

impl Fold for RequestDelta {
    fn is_other(&self) -> bool {
        self.path == [OTHER]
    }
    fn weight(&self) -> u64 {
        self.sent + self.ok.count + self.ko.count
    }
    fn other() -> Self {
        Self { path: vec![OTHER.to_owned()], ..Self::default() }
    }
    fn take_in(&mut self, row: Self) {
        self.add(&row);
    }
}

impl Fold for GroupDelta {
    fn is_other(&self) -> bool {
        self.path == [OTHER]
    }
    fn weight(&self) -> u64 {
        self.duration_ok.count + self.duration_ko.count
    }
    fn other() -> Self {
        Self { path: vec![OTHER.to_owned()], ..Self::default() }
    }
    fn take_in(&mut self, row: Self) {
        self.add(&row);
    }
}

impl Fold for ErrorDelta {
    fn is_other(&self) -> bool {
        self.path.is_empty() && self.message == OTHER && !self.crash
    }
    fn weight(&self) -> u64 {
        self.count
    }
    fn other() -> Self {
        Self { message: OTHER.to_owned(), ..Self::default() }
    }
    fn take_in(&mut self, row: Self) {
        self.count += row.count;
    }
}

impl Frame {
    /// Its bytes, at most [`FRAME_BYTES_MAX`]: what is beyond is folded. A frame that fits is
    /// encoded once.
    #[must_use]
    pub fn encode_within(&self) -> Vec<u8> {
        let bytes = self.encode();
        if bytes.len() <= FRAME_BYTES_MAX { bytes } else { fold(self.clone(), bytes) }
    }
}

fn fold(mut frame: Frame, mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.len() > FRAME_BYTES_MAX {
        // What is counted together needs room as well, so a little more goes than is too much.
        let excess = bytes.len() - FRAME_BYTES_MAX + FRAME_BYTES_MAX / 16;
        let folded = match drop_examples(&mut frame.errors, excess) {
            0 => {
                let rows = fold_largest(&mut frame, excess);
                Folded { rows, examples: 0 }
            }
            examples => Folded { rows: 0, examples },
        };
        if folded == Folded::default() {
            // Nothing is left that could go: the writer refuses it, and says how large it is.
            break;
        }
        frame.folded.add(&folded);
        bytes = frame.encode();
    }
    bytes
}

/// The latest ones first, until as many bytes have gone.
fn drop_examples(errors: &mut [ErrorDelta], excess: usize) -> u64 {
    let mut sampled: Vec<&mut ErrorDelta> =
        errors.iter_mut().filter(|row| row.sample.is_some()).collect();
    sampled.sort_by(|a, b| b.sample.cmp(&a.sample));
    let (mut gone, mut count) = (0, 0);
    for row in sampled {
        if gone >= excess {
            break;
        }
        gone += size(&row.sample);
        row.sample = None;
        count += 1;
    }
    count
}

fn fold_largest(frame: &mut Frame, excess: usize) -> u64 {
    let of = [size(&frame.requests), size(&frame.groups), size(&frame.errors)];
    // Whatever cannot be folded any more gives way to the next.
    let mut order = [0, 1, 2];
    order.sort_by_key(|&at| std::cmp::Reverse(of[at]));
    for list in order {
        let rows = match list {
            0 => fold_rows(&mut frame.requests, excess),
            1 => fold_rows(&mut frame.groups, excess),
            _ => fold_rows(&mut frame.errors, excess),
        };
        if rows > 0 {
            return rows;
        }
    }
    0
}

/// Counts the rarest rows under `(other)` until as many bytes have gone; gives how many rows. The
/// others keep their order.
fn fold_rows<T: Fold>(rows: &mut Vec<T>, excess: usize) -> u64 {
    let mut rarest: Vec<usize> = (0..rows.len()).filter(|&at| !rows[at].is_other()).collect();
    // Of equal weight the last one in the order of names: a fixed choice, whoever makes it.
    rarest.sort_by_key(|&at| (rows[at].weight(), std::cmp::Reverse(at)));
    let mut goes = vec![false; rows.len()];
    let (mut gone, mut count) = (0, 0);
    for at in rarest {
        if gone >= excess {
            break;
        }
        gone += size(&rows[at]);
        goes[at] = true;
        count += 1;
    }
    if count == 0 {
        return 0;
    }
    let mut other = T::other();
    let mut kept = Vec::with_capacity(rows.len());
    for (row, goes) in std::mem::take(rows).into_iter().zip(goes) {
        if goes || row.is_other() {
            other.take_in(row);
        } else {
            kept.push(row);
        }
    }
    kept.push(other);
    *rows = kept;
    count
}

fn size(value: &impl Serialize) -> usize {
    postcard::to_stdvec(value).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::frame::{FRAME_VERSION, Times};
    use crate::stats::merge::merge;
    use crate::stats::record::{ERRORS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, PATHS_MAX};
    use crate::stats::sample::{Excerpt, SAMPLES_MAX, Sample};

    fn name(kind: &str, at: usize, bytes: usize) -> String {
        format!("{kind}{at:04}{}", "x".repeat(bytes))[..bytes].to_owned()
    }

    /// All that the recorder's own caps allow: names, groups, errors and examples at their bounds.
    fn full() -> Frame {
        let times = |at: usize| Times::of((0..=at as u64 % 40).map(|k| 1_000 + k * k * 997));
        let excerpt = || {
            let headers = (0..4).map(|at| (name("h", at, 100), name("v", at, 400))).collect();
            Excerpt::new(&name("GET", 0, 512), headers, &name("body", 0, 1_024), true)
        };
        let requests = (0..PATHS_MAX).map(|at| RequestDelta {
            path: vec![name("r", at, NAME_BYTES_MAX)],
            sent: 1 + at as u64,
            ok: times(at),
            codes: vec![(200, 1 + at as u64 % 40)],
            bytes_sent: 10,
            bytes_received: 100,
            ..RequestDelta::default()
        });
        let groups = (0..PATHS_MAX).map(|at| GroupDelta {
            path: vec![name("g", at, NAME_BYTES_MAX)],
            duration_ok: times(at),
            cumulated_ok: times(at),
            ..GroupDelta::default()
        });
        let errors = (0..ERRORS_MAX).map(|at| ErrorDelta {
            path: vec![name("r", at, NAME_BYTES_MAX)],
            message: name("m", at, MESSAGE_BYTES_MAX),
            count: 1 + at as u64,
            sample: (at < SAMPLES_MAX).then(|| {
                let at_us = at as u64;
                Box::new(Sample { at_us, sent: excerpt(), received: Some(excerpt()) })
            }),
            ..ErrorDelta::default()
        });
        Frame {
            version: FRAME_VERSION,
            seq: 1,
            requests: requests.collect(),
            groups: groups.collect(),
            errors: errors.collect(),
            ..Frame::default()
        }
    }

    /// Once the writer's limit was 16 MiB and the reader's 704 KiB: a shard whose recorder was full
    /// was killed while it loaded its target.
    #[test]
    fn a_full_recorder_fits_and_every_total_stays() {
        let full = full();
        let plain = full.encode().len();
        assert!(plain > 2 * FRAME_BYTES_MAX, "{plain} bytes");
        let bytes = full.encode_within();
        assert!(bytes.len() <= FRAME_BYTES_MAX, "{} bytes", bytes.len());
        assert!(bytes.len() > FRAME_BYTES_MAX / 2, "no more than must be: {}", bytes.len());
        let fitted = Frame::decode(&bytes).unwrap();
        let totals = |frame: &Frame| {
            let mut totals = super::super::frame::Totals::default();
            totals.add_frame(frame);
            totals
        };
        assert_eq!(totals(&fitted), totals(&full));
        let sum = |frame: &Frame| {
            let mut all = RequestDelta::default();
            frame.requests.iter().for_each(|row| all.add(row));
            let mut group = GroupDelta::default();
            frame.groups.iter().for_each(|row| group.add(row));
            (all, group)
        };
        let (of_full, of_fitted) = (sum(&full), sum(&fitted));
        assert_eq!((of_full.0.sent, &of_full.0.ok), (of_fitted.0.sent, &of_fitted.0.ok));
        assert_eq!((&of_full.0.codes, of_full.0.bytes_sent), (&of_fitted.0.codes, 10_000));
        assert_eq!(of_full.1.duration_ok, of_fitted.1.duration_ok);
        assert_eq!(of_full.1.cumulated_ok, of_fitted.1.cumulated_ok);
        let rows = |frame: &Frame| frame.requests.len() + frame.groups.len() + frame.errors.len();
        let others = fitted.requests.iter().filter(|row| row.is_other()).count()
            + fitted.groups.iter().filter(|row| row.is_other()).count()
            + fitted.errors.iter().filter(|row| row.is_other()).count();
        let told = fitted.folded.rows;
        assert_eq!(told, (rows(&full) - rows(&fitted) + others) as u64, "what is gone is told");
        assert_eq!(fitted.folded.examples, SAMPLES_MAX as u64);
        // The most frequent are told apart to the last.
        assert!(fitted.requests.iter().any(|row| row.path[0].starts_with("r0999")));
        assert!(!fitted.requests.iter().any(|row| row.path[0].starts_with("r0000")));
        // And it travels: a tick of it says the same.
        let tick = merge([fitted]);
        assert_eq!(tick.seconds[0].shards[0].folded.rows, told);
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let mut frame = full();
        frame.requests.truncate(3);
        frame.groups.clear();
        frame.errors.truncate(40);
        assert_eq!(Frame::decode(&frame.encode_within()).unwrap(), frame);
        // Only as many examples go as must, the latest first.
        let mut frame = full();
        frame.groups.clear();
        let bytes = frame.encode().len();
        frame.requests.truncate(frame.requests.len() - (bytes - FRAME_BYTES_MAX) / 700);
        let fitted = Frame::decode(&frame.encode_within()).unwrap();
        assert!(fitted.folded.examples > 0, "{:?}", fitted.folded);
        if fitted.folded.rows == 0 {
            let kept: Vec<u64> =
                fitted.errors.iter().filter_map(|e| Some(e.sample.as_ref()?.at_us)).collect();
            assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>());
        }
    }
}
