//! Examples of failures: the first request of each kind of error and what came back, bounded and
//! with secrets masked, so that a report shows what went wrong and not only how often.
//!
//! Merging is exact, commutative and associative: of two examples of one kind the earlier one stays,
//! and of too many kinds those that came first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::frame::ErrorDelta;
use crate::time::Micros;

/// Kinds of errors of one thread, or of one second of a job, that have an example.
pub const SAMPLES_MAX: usize = 32;
/// Of one message, names and values: a hostile target shall not make a second of a job larger than
/// what the cluster can carry.
const HEADERS_BYTES_MAX: usize = 2 << 10;
/// Of a first line or of a header's value.
const LINE_BYTES_MAX: usize = 512;
/// Of a body.
pub const BODY_BYTES_MAX: usize = 1 << 10;

/// One failed request.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sample {
    /// When it failed, since the common start.
    pub at_us: Micros,
    pub sent: Excerpt,
    /// Absent: no response came.
    pub received: Option<Excerpt>,
}

/// What is kept of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Excerpt {
    /// `GET http://shop.test/`, `503 Service Unavailable`
    pub head: String,
    pub headers: Vec<(String, String)>,
    /// Content-decoded text.
    pub body: String,
    /// The message had more than that: headers, or body.
    pub cut: bool,
}

impl Excerpt {
    /// Keeps to the bounds.
    #[must_use]
    pub fn new(head: &str, headers: Vec<(String, String)>, body: &str, more: bool) -> Self {
        let kept = |text: &str, max| text[..text.floor_char_boundary(max)].to_owned();
        let of = headers.len();
        let mut left = HEADERS_BYTES_MAX;
        let cut_value = |(name, value): (String, String)| (name, kept(&value, LINE_BYTES_MAX));
        let fits = |(name, value): &(String, String)| {
            let rest = left.checked_sub(name.len() + value.len());
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let headers: Vec<_> = headers.into_iter().map(cut_value).take_while(fits).collect();
        Self {
            head: kept(head, LINE_BYTES_MAX),
            body: kept(body, BODY_BYTES_MAX),
            cut: more || headers.len() < of || body.len() > BODY_BYTES_MAX,
            headers,
        }
    }
}

/// The earlier one.
pub(super) fn earlier<'a>(a: Option<&'a Sample>, b: Option<&'a Sample>) -> Option<&'a Sample> {
    a.into_iter().chain(b).min()
}

/// What is told apart: path, message, and whether it is a crash.
pub(super) type ErrorKey = (Vec<String>, String, bool);

/// Adds rows to those of the same kind.
pub(super) fn merge_errors(into: &mut BTreeMap<ErrorKey, ErrorDelta>, deltas: Vec<ErrorDelta>) {
    for delta in deltas {
        let key = (delta.path.clone(), delta.message.clone(), delta.crash);
        match into.get_mut(&key) {
            Some(sum) => {
                sum.count += delta.count;
                if earlier(sum.sample.as_deref(), delta.sample.as_deref()) != sum.sample.as_deref()
                {
                    sum.sample = delta.sample;
                }
            }
            None => {
                into.insert(key, delta);
            }
        }
    }
}

/// The rows, ascending; beyond [`SAMPLES_MAX`] those whose example came last lose it.
pub(super) fn error_rows(errors: BTreeMap<ErrorKey, ErrorDelta>) -> Vec<ErrorDelta> {
    let mut rows: Vec<_> = errors.into_values().collect();
    let mut sampled: Vec<_> = (0..rows.len()).filter(|&at| rows[at].sample.is_some()).collect();
    if sampled.len() > SAMPLES_MAX {
        // Rows ascend by kind, so equal examples are told apart by their kinds.
        sampled.sort_by(|&a, &b| rows[a].sample.cmp(&rows[b].sample).then(a.cmp(&b)));
        for at in sampled.split_off(SAMPLES_MAX) {
            rows[at].sample = None;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names were once kept whole, and 32 headers of any length.
    #[test]
    fn an_excerpt_is_bounded_whatever_the_target_sends() {
        let header = |at: usize, length: usize| ("n".repeat(at), "v".repeat(length));
        let headers = vec![header(1, 9_000), header(2, 600), header(3, 10), header(30_000, 1)];
        let excerpt = Excerpt::new(&"h".repeat(9_000), headers, &"b".repeat(9_000), false);
        let lengths = excerpt.headers.iter().map(|(name, value)| (name.len(), value.len()));
        assert_eq!(lengths.collect::<Vec<_>>(), [(1, 512), (2, 512), (3, 10)]);
        assert_eq!((excerpt.head.len(), excerpt.body.len(), excerpt.cut), (512, 1_024, true));
        let few = |more| Excerpt::new("h", vec![header(1, 1)], "b", more).cut;
        assert!(!few(false) && few(true));
        // A character is never halved.
        let odd = Excerpt::new("h", vec![("n".to_owned(), "€".repeat(200))], "", false);
        assert_eq!(odd.headers[0].1.len(), 510);
    }

    fn sample(at_us: u64) -> Option<Box<Sample>> {
        Some(Box::new(Sample { at_us, ..Sample::default() }))
    }

    fn error(kind: u64, at_us: Option<u64>) -> ErrorDelta {
        ErrorDelta {
            message: format!("e{kind:03}"),
            count: 1,
            sample: at_us.and_then(sample),
            ..ErrorDelta::default()
        }
    }

    fn merged(parts: impl IntoIterator<Item = Vec<ErrorDelta>>) -> Vec<ErrorDelta> {
        let mut errors = BTreeMap::new();
        parts.into_iter().for_each(|part| merge_errors(&mut errors, part));
        error_rows(errors)
    }

    #[test]
    fn the_first_example_of_a_kind_stays() {
        let rows = merged([
            vec![error(1, Some(20)), error(2, None)],
            vec![error(1, Some(10)), error(2, Some(30))],
            vec![error(1, None)],
        ]);
        assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((&rows[0].sample, &rows[1].sample), (&sample(10), &sample(30)));
    }

    proptest! {
        /// Threads, processes, shards and amended seconds are joined in any order and grouping.
        #[test]
        fn the_grouping_of_parts_does_not_matter(
            parts in prop::collection::vec(
                prop::collection::vec((0u64..90, prop::option::of(0u64..500)), 0..60), 1..6),
            at in 0usize..6,
        ) {
            let parts: Vec<Vec<ErrorDelta>> = parts
                .into_iter()
                .map(|part| merged([part.into_iter().map(|(k, at)| error(k, at)).collect()]))
                .collect();
            let all = merged(parts.clone());
            let (left, right) = parts.split_at(at.min(parts.len()));
            let grouped = merged([merged(left.to_vec()), merged(right.to_vec())]);
            prop_assert_eq!(&grouped, &all);
            prop_assert_eq!(&merged(parts.into_iter().rev()), &all);
            prop_assert!(all.iter().filter(|row| row.sample.is_some()).count() <= SAMPLES_MAX);
        }
    }
}
