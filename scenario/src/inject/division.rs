//! Who owns what: a job has [`SEGMENTS`] segments, and segment s owns the arrivals (and feeder
//! records) with k mod S = s. A shard owns a set of segments; the union over shards is the
//! single-node plan, arrival by arrival, because nobody draws or counts anything of his own.

use std::sync::Arc;

/// S: divisible by every small number of nodes.
pub const SEGMENTS: u32 = 720;

/// The segments that one shard owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    total: u32,
    /// Ascending, without duplicates, each below `total`.
    owned: Arc<[u32]>,
    /// One bit a segment.
    mask: Arc<[u64]>,
}

impl Segments {
    /// # Errors
    /// When `total` is 0 or a segment is not below it.
    pub fn new(total: u32, owned: &[u32]) -> Result<Self, String> {
        if total == 0 {
            return Err("a job has at least one segment".to_owned());
        }
        let mut sorted = owned.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut mask = vec![0_u64; total.div_ceil(64) as usize];
        for &segment in &sorted {
            if segment >= total {
                return Err(format!("segment {segment} is not one of 0 to {}", total - 1));
            }
            mask[(segment / 64) as usize] |= 1 << (segment % 64);
        }
        Ok(Self { total, owned: sorted.into(), mask: mask.into() })
    }

    /// A single-machine run: one shard that owns everything.
    #[must_use]
    pub fn all() -> Self {
        let owned: Vec<u32> = (0..SEGMENTS).collect();
        Self::new(SEGMENTS, &owned).expect("0..S are segments of S")
    }

    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Ascending.
    #[must_use]
    pub fn owned(&self) -> &[u32] {
        &self.owned
    }

    /// Whether arrival (or record) `k` is this shard's.
    #[must_use]
    pub fn owns(&self, k: u64) -> bool {
        let segment = (k % u64::from(self.total)) as usize;
        self.mask[segment / 64] >> (segment % 64) & 1 == 1
    }

    /// This shard's part of a whole of `count` (concurrent users, requests per second, records):
    /// segment s owns floor((count + S - 1 - s) / S) of them. The parts of all shards sum to it.
    #[must_use]
    pub fn closed_share(&self, count: u64) -> u64 {
        let total = u64::from(self.total);
        let (each, rest) = (count / total, count % total);
        let with_one_more = self.owned.partition_point(|&segment| u64::from(segment) < rest);
        each * self.owned.len() as u64 + with_one_more as u64
    }

    /// The global number of this shard's `j`-th own item (from 0); none when it owns no segment.
    /// Numbers closed-model users and feeder records without asking anybody.
    #[must_use]
    pub fn nth(&self, j: u64) -> Option<u64> {
        let owned = self.owned.len() as u64;
        if owned == 0 {
            return None;
        }
        let slot = usize::try_from(j % owned).expect("below the number of segments");
        (j / owned).checked_mul(u64::from(self.total))?.checked_add(u64::from(self.owned[slot]))
    }
}

/// Gives each node its segments, in proportion to its weight and interleaved, so that the first
/// arrivals already spread over all nodes. Nodes of equal weight differ by at most one segment.
/// With more than [`SEGMENTS`] nodes there are as many segments as nodes. A node of weight 0 gets
/// none; when all are 0, all count the same.
#[must_use]
pub fn split(weights: &[u32]) -> Vec<Vec<u32>> {
    let nodes = u32::try_from(weights.len()).unwrap_or(u32::MAX);
    let all: Vec<u32> = (0..SEGMENTS.max(nodes)).collect();
    share_out(&all, weights)
}

/// Gives segments to nodes as [`split`] does with all of them.
#[must_use]
pub fn share_out(segments: &[u32], weights: &[u32]) -> Vec<Vec<u32>> {
    let mut parts = vec![Vec::new(); weights.len()];
    let even = weights.iter().all(|&weight| weight == 0);
    let weight_of = |node: usize| if even { 1 } else { i128::from(weights[node]) };
    let sum: i128 = (0..weights.len()).map(weight_of).sum();
    // Each segment goes to the node that is furthest behind what it should have by then.
    for (given, &segment) in (1_i128..).zip(segments) {
        let due = |node: usize| {
            let assigned = i128::try_from(parts[node].len()).unwrap_or(i128::MAX);
            weight_of(node) * given - assigned * sum
        };
        let mut best = None;
        for node in (0..weights.len()).filter(|&node| weight_of(node) > 0) {
            let behind = due(node);
            if best.is_none_or(|(most, _)| behind > most) {
                best = Some((behind, node));
            }
        }
        if let Some((_, node)) = best {
            parts[node].push(segment);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shards(weights: &[u32]) -> Vec<Segments> {
        let total = SEGMENTS.max(u32::try_from(weights.len()).unwrap());
        split(weights).iter().map(|owned| Segments::new(total, owned).unwrap()).collect()
    }

    #[test]
    fn equal_nodes_are_interleaved_and_differ_by_at_most_one_segment() {
        assert_eq!(split(&[1, 1, 1])[1][..4], [1, 4, 7, 10]);
        for nodes in 1..=30 {
            let parts = split(&vec![3; nodes]);
            let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
            assert_eq!(sizes.iter().sum::<usize>(), 720);
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        }
    }

    #[test]
    fn weights_count() {
        let parts = split(&[2, 1, 0]);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [480, 240, 0]);
        assert_eq!(split(&[0, 0]).iter().map(Vec::len).collect::<Vec<_>>(), [360, 360]);
        assert_eq!(split(&[1; 1000]).iter().map(Vec::len).sum::<usize>(), 1000);
        assert!(split(&[]).is_empty());
        assert_eq!(share_out(&[5, 9, 700], &[1, 1]), [vec![5, 700], vec![9]]);
    }

    #[test]
    fn bad_segments_are_refused() {
        assert!(Segments::new(0, &[]).is_err());
        assert_eq!(Segments::new(4, &[4]), Err("segment 4 is not one of 0 to 3".to_owned()));
    }

    #[test]
    fn own_items_are_numbered_in_order() {
        let segments = Segments::new(4, &[3, 1]).unwrap();
        let numbers: Vec<_> = (0..5).map(|j| segments.nth(j).unwrap()).collect();
        assert_eq!(numbers, [1, 3, 5, 7, 9]);
        assert_eq!(Segments::new(4, &[]).unwrap().nth(0), None);
        // 10 over four segments: 3 3 2 2.
        assert_eq!(segments.closed_share(10), 3 + 2);
    }

    proptest! {
        #[test]
        fn every_arrival_has_one_owner_and_shares_sum(
            weights in prop::collection::vec(1_u32..9, 1..9),
            k in any::<u64>(),
            count in 0_u64..1_000_000_000,
        ) {
            let shards = shards(&weights);
            prop_assert_eq!(shards.iter().filter(|shard| shard.owns(k)).count(), 1);
            let sum: u64 = shards.iter().map(|shard| shard.closed_share(count)).sum();
            prop_assert_eq!(sum, count);
        }

        #[test]
        fn a_share_is_the_number_of_owned_items(
            weights in prop::collection::vec(0_u32..9, 1..9), count in 0_u64..3000,
        ) {
            for shard in shards(&weights) {
                let owned = (0..count).filter(|&k| shard.owns(k)).count() as u64;
                prop_assert_eq!(shard.closed_share(count), owned);
                if owned > 0 {
                    prop_assert!(shard.nth(owned - 1).unwrap() < count);
                    prop_assert!(shard.nth(owned).unwrap() >= count);
                }
            }
        }
    }
}
