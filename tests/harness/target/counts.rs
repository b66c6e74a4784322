//! What the target saw: requests by method and path, by name, by the arrival that they belong to,
//! answers by status, and arrivals in buckets of 100 ms, together and by the address that they came from.
//! One lock, held for a few lookups; the tables are bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub const BUCKET_MS: u64 = 100;
/// A day.
const BUCKETS_MAX: usize = 864_000;
/// Keys told apart in a table; the rest is counted as [`OTHER`].
const KEYS_MAX: usize = 20_000;
const OTHER: &str = "(other)";
/// Arrivals told apart; requests of later ones are counted, but not by arrival.
const IDS_MAX: usize = 4 << 20;
/// Names whose requests are told apart by arrival.
const ID_NAMES_MAX: usize = 256;
/// Addresses, and names of each, whose requests are told apart by time.
const SOURCES_MAX: usize = 64;
const SOURCE_NAMES_MAX: usize = 16;

/// All that is counted since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub total: u64,
    /// `GET /products` → requests.
    pub by_route: BTreeMap<String, u64>,
    /// By the name marker; requests without one are not in here.
    pub by_name: BTreeMap<String, u64>,
    /// By status of the answer.
    pub by_status: BTreeMap<u16, u64>,
    /// What was wrong with requests to the services that check them.
    #[serde(default)]
    pub violations: BTreeMap<String, u64>,
    pub connections: u64,
    pub first_unix_ms: Option<u64>,
    pub last_unix_ms: Option<u64>,
}

/// Requests by the time they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    pub bucket_ms: u64,
    /// Start of the first bucket; absent before the first request.
    pub start_unix_ms: Option<u64>,
    /// One figure per bucket from the first request on, empty ones included.
    pub counts: Vec<u64>,
}

/// Requests by the time they came and by who sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    pub bucket_ms: u64,
    /// Start of the first bucket; absent before the first request.
    pub start_unix_ms: Option<u64>,
    /// By address and by name: one figure per bucket up to the last request.
    pub by_source: BTreeMap<IpAddr, BTreeMap<String, Vec<u64>>>,
    /// The most requests that were under way at once, per bucket in which one came.
    pub most_in_flight: Vec<u64>,
}

/// The requests of one name, by the arrival that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// How many arrivals were seen.
    pub distinct: u64,
    /// Those that were seen more than once, and how often.
    pub doubled: BTreeMap<u64, u8>,
    /// All that were seen: first and last of each run without a gap.
    pub seen: Vec<(u64, u64)>,
}

impl Ids {
    /// Of counts by id.
    fn of(times: &[u8]) -> Self {
        let mut ids = Self::default();
        for (id, &count) in (0_u64..).zip(times).filter(|(_, count)| **count > 0) {
            ids.distinct += 1;
            if count > 1 {
                ids.doubled.insert(id, count);
            }
            match ids.seen.last_mut() {
                Some((_, last)) if *last + 1 == id => *last = id,
                _ => ids.seen.push((id, id)),
            }
        }
        ids
    }
}

impl Arrivals {
    /// Length in milliseconds of the longest run of empty buckets between two requests.
    #[must_use]
    pub fn longest_gap_ms(&self) -> u64 {
        let (longest, _) = self.counts.iter().fold((0_u64, 0_u64), |(longest, run), count| {
            let run = if *count == 0 { run + 1 } else { 0 };
            (longest.max(run), run)
        });
        longest * self.bucket_ms
    }
}

#[derive(Debug, Default)]
struct Table {
    total: u64,
    by_route: HashMap<String, u64>,
    by_name: HashMap<String, u64>,
    by_status: BTreeMap<u16, u64>,
    violations: HashMap<String, u64>,
    connections: u64,
    /// By name: how often each arrival's request was seen.
    ids: BTreeMap<String, Vec<u8>>,
    /// By name: when each arrival's request was first seen.
    times: BTreeMap<String, Vec<Option<u32>>>,
    /// Of the first request: by the monotonic clock, and by the wall's.
    start: Option<(Instant, u64)>,
    last_ms: u64,
    buckets: Vec<u64>,
    sources: BTreeMap<IpAddr, BTreeMap<String, Vec<u64>>>,
    in_flight: u64,
    most_in_flight: Vec<u64>,
    /// `METHOD /path`, put together without a new allocation for each request.
    key: String,
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Counts>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut table = self.0.lock();
        // A reset may have come in between.
        table.in_flight = table.in_flight.saturating_sub(1);
    }
}

#[derive(Debug, Default)]
pub struct Counts(Mutex<Table>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connection(&self) {
        self.lock().connections += 1;
    }

    /// It is under way as long as what this gives is kept.
    #[must_use]
    pub(super) fn request(
        self: &Arc<Self>,
        from: IpAddr,
        method: &str,
        path: &str,
        name: Option<&str>,
    ) -> UnderWay {
        let now = Instant::now();
        let mut table = self.lock();
        let table = &mut *table;
        table.total += 1;
        table.key.clear();
        table.key.push_str(method);
        table.key.push(' ');
        table.key.push_str(path);
        count(&mut table.by_route, &table.key);
        if let Some(name) = name {
            count(&mut table.by_name, name);
        }
        let (start, _) = *table.start.get_or_insert_with(|| (now, unix_ms()));
        let elapsed = now.saturating_duration_since(start).as_millis();
        table.last_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let bucket = usize::try_from(table.last_ms / BUCKET_MS).unwrap_or(usize::MAX);
        table.in_flight += 1;
        if bucket < BUCKETS_MAX {
            *at(&mut table.buckets, bucket) += 1;
            let most = at(&mut table.most_in_flight, bucket);
            *most = table.in_flight.max(*most);
            if let Some(buckets) = name.and_then(|name| buckets_of(&mut table.sources, from, name))
            {
                *at(buckets, bucket) += 1;
            }
        }
        UnderWay(Arc::clone(self))
    }

    pub(super) fn response(&self, status: u16) {
        *self.lock().by_status.entry(status).or_default() += 1;
    }

    /// The request of one arrival: `name` is what it is, `id` is whose.
    pub fn arrival(&self, name: &str, id: usize) {
        let mut table = self.lock();
        let now_ms = table.start.map_or(Duration::ZERO, |(start, _)| start.elapsed()).as_millis();
        if id >= IDS_MAX || (table.ids.len() >= ID_NAMES_MAX && !table.ids.contains_key(name)) {
            return;
        }
        let times = table.ids.entry(name.to_owned()).or_default();
        if times.len() <= id {
            times.resize(id + 1, 0);
        }
        times[id] = times[id].saturating_add(1);
        let first = table.times.entry(name.to_owned()).or_default();
        if first.len() <= id {
            first.resize(id + 1, None);
        }
        first[id].get_or_insert_with(|| u32::try_from(now_ms).unwrap_or(u32::MAX));
    }

    pub(super) fn violation(&self, what: &str) {
        count(&mut self.lock().violations, what);
    }

    pub fn reset(&self) {
        *self.lock() = Table::default();
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let table = self.lock();
        let sorted =
            |map: &HashMap<String, u64>| map.iter().map(|(k, v)| (k.clone(), *v)).collect();
        let first = table.start.map(|(_, unix_ms)| unix_ms);
        Snapshot {
            total: table.total,
            by_route: sorted(&table.by_route),
            by_name: sorted(&table.by_name),
            by_status: table.by_status.clone(),
            violations: sorted(&table.violations),
            connections: table.connections,
            first_unix_ms: first,
            last_unix_ms: first.map(|first| first + table.last_ms),
        }
    }

    /// By name: which arrivals' requests came.
    #[must_use]
    pub fn ids(&self) -> BTreeMap<String, Ids> {
        let table = self.lock();
        table.ids.iter().map(|(name, times)| (name.clone(), Ids::of(times))).collect()
    }

    /// By name: when the first request of each arrival came, in milliseconds from the very first one.
    #[must_use]
    pub fn times(&self) -> BTreeMap<String, Vec<Option<u32>>> {
        self.lock().times.clone()
    }

    #[must_use]
    pub fn arrivals(&self) -> Arrivals {
        let table = self.lock();
        Arrivals {
            bucket_ms: BUCKET_MS,
            start_unix_ms: table.start.map(|(_, unix_ms)| unix_ms),
            counts: table.buckets.clone(),
        }
    }

    #[must_use]
    pub fn sources(&self) -> Sources {
        let table = self.lock();
        Sources {
            bucket_ms: BUCKET_MS,
            start_unix_ms: table.start.map(|(_, unix_ms)| unix_ms),
            by_source: table.sources.clone(),
            most_in_flight: table.most_in_flight.clone(),
        }
    }
}

/// The bucket, with all before it.
fn at(buckets: &mut Vec<u64>, bucket: usize) -> &mut u64 {
    if buckets.len() <= bucket {
        buckets.resize(bucket + 1, 0);
    }
    &mut buckets[bucket]
}

/// The buckets of a name from an address, as long as there is room for them.
fn buckets_of<'a>(
    sources: &'a mut BTreeMap<IpAddr, BTreeMap<String, Vec<u64>>>,
    from: IpAddr,
    name: &str,
) -> Option<&'a mut Vec<u64>> {
    if sources.len() >= SOURCES_MAX && !sources.contains_key(&from) {
        return None;
    }
    let names = sources.entry(from).or_default();
    if !names.contains_key(name) {
        if names.len() >= SOURCE_NAMES_MAX {
            return None;
        }
        names.insert(name.to_owned(), Vec::new());
    }
    names.get_mut(name)
}

fn count(map: &mut HashMap<String, u64>, key: &str) {
    if let Some(count) = map.get_mut(key) {
        *count += 1;
        return;
    }
    let key = if map.len() < KEYS_MAX { key } else { OTHER };
    *map.entry(key.to_owned()).or_default() += 1;
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_name() {
        let counts = Arc::new(Counts::default());
        let (one, other) = (IpAddr::from([10, 77, 0, 1]), IpAddr::from([10, 77, 0, 2]));
        let first = counts.request(one, "GET", "/", Some("home"));
        let _second = counts.request(one, "GET", "/", None);
        drop(first);
        let _third = counts.request(other, "POST", "/cart", Some("buy"));
        counts.response(200);
        counts.violation("no token");
        let seen = counts.snapshot();
        assert_eq!(seen.total, 3);
        assert_eq!(seen.by_route["GET /"], 2);
        assert_eq!(seen.by_name, BTreeMap::from([("home".to_owned(), 1), ("buy".to_owned(), 1)]));
        assert_eq!(seen.by_status[&200], 1);
        assert_eq!(seen.violations, BTreeMap::from([("no token".to_owned(), 1)]));
        assert_eq!(counts.arrivals().counts.iter().sum::<u64>(), 3);
        let sources = counts.sources();
        assert_eq!(sources.by_source[&one]["home"].iter().sum::<u64>(), 1);
        assert_eq!(sources.by_source[&other]["buy"].iter().sum::<u64>(), 1);
        assert_eq!(sources.most_in_flight.iter().max(), Some(&2));
        counts.reset();
        assert_eq!(counts.snapshot(), Snapshot::default());
    }

    #[test]
    fn an_arrival_that_comes_twice_is_told_from_two_arrivals() {
        let counts = Counts::default();
        for id in [0, 1, 2, 5, 1, IDS_MAX] {
            counts.arrival("home", id);
        }
        let ids = &counts.ids()["home"];
        assert_eq!((ids.distinct, &ids.seen[..]), (4, &[(0, 2), (5, 5)][..]));
        assert_eq!(ids.doubled, BTreeMap::from([(1, 2)]));
        let times: Vec<bool> = counts.times()["home"].iter().map(Option::is_some).collect();
        assert_eq!(times, [true, true, true, false, false, true]);
        counts.reset();
        assert_eq!(counts.ids(), BTreeMap::new());
    }

    #[test]
    fn gaps_are_runs_of_empty_buckets() {
        let arrivals = |counts: &[u64]| Arrivals {
            bucket_ms: BUCKET_MS,
            start_unix_ms: Some(0),
            counts: counts.to_vec(),
        };
        assert_eq!(arrivals(&[1, 1, 1]).longest_gap_ms(), 0);
        assert_eq!(arrivals(&[1, 0, 0, 1, 0, 1]).longest_gap_ms(), 200);
    }

    #[test]
    fn tables_are_bounded() {
        let mut map = HashMap::new();
        for n in 0..KEYS_MAX + 10 {
            count(&mut map, &n.to_string());
        }
        assert_eq!(map.len(), KEYS_MAX + 1);
        assert_eq!(map[OTHER], 10);
    }
}
