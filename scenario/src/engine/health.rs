//! What the machine says of the generator itself, from `/proc`: processor time, time stolen by the
//! hypervisor, memory, descriptors. A figure that cannot be read is 0.

use std::fs;

use super::clock;
use crate::stats::frame::GeneratorHealth;

/// Kernel ticks per second, as `/proc` counts processor time on every Linux we run on.
const TICKS_PER_SECOND: f32 = 100.0;

/// Rates over less are the coarseness of the ticks: one of them in 5 ms would read 200 %.
const RATE_OVER_MIN_US: i64 = 500_000;

/// Remembers a reading, to give rates.
#[derive(Debug, Default)]
pub(super) struct Health {
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    at_us: i64,
    own_ticks: u64,
    stolen: u64,
    machine: u64,
}

impl Reading {
    /// Percent of one core, and percent of the machine stolen, since an earlier reading; none
    /// where that is too near.
    #[expect(clippy::cast_precision_loss, reason = "percentages of a second or so")]
    fn since(&self, earlier: &Self) -> Option<(f32, f32)> {
        let passed = self.at_us.saturating_sub(earlier.at_us);
        if passed < RATE_OVER_MIN_US {
            return None;
        }
        let used = self.own_ticks.saturating_sub(earlier.own_ticks) as f32 / TICKS_PER_SECOND;
        let all = self.machine.saturating_sub(earlier.machine).max(1) as f32;
        let stolen = self.stolen.saturating_sub(earlier.stolen) as f32;
        Some((used / (passed as f32 / 1e6) * 100.0, stolen / all * 100.0))
    }
}

impl Health {
    /// Fills in what the process knows of itself since the last call.
    pub(super) fn sample(&mut self, into: &mut GeneratorHealth) {
        let (machine, stolen) = machine_ticks().unwrap_or((0, 0));
        let own_ticks = own_ticks().unwrap_or(0);
        let reading = Reading { at_us: clock::boot_us(), own_ticks, stolen, machine };
        match self.last.map(|last| reading.since(&last)) {
            None => self.last = Some(reading),
            Some(Some((cpu, steal))) => {
                (into.cpu_percent, into.steal_percent) = (cpu, steal);
                self.last = Some(reading);
            }
            Some(None) => {}
        }
        into.rss_bytes = rss_bytes().unwrap_or(0);
        into.open_files = open_files();
    }
}

/// As many descriptors as the process may have: what a shell gives is too few for connections.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // One that cannot be raised is told of when it is reached.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// How many a process may have at most.
pub(super) fn open_files_max() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// utime + stime, fields 14 and 15; the name in field 2 may hold spaces.
fn own_ticks() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let after = stat.rsplit_once(')')?.1;
    let mut fields = after.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// All ticks and stolen ones.
fn machine_ticks() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    Some((fields.iter().take(8).sum(), fields.get(7).copied().unwrap_or(0)))
}

fn rss_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn open_files() -> u32 {
    fs::read_dir("/proc/self/fd")
        .map_or(0, |entries| u32::try_from(entries.count()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_a_second_and_not_of_a_tick() {
        let first = Reading { at_us: 1_000_000, own_ticks: 10, stolen: 5, machine: 1_000 };
        let later = Reading { at_us: 2_000_000, own_ticks: 35, stolen: 7, machine: 1_200 };
        assert_eq!(later.since(&first), Some((25.0, 1.0)));
        let soon = Reading { at_us: 1_005_000, own_ticks: 11, stolen: 5, machine: 1_001 };
        assert_eq!(soon.since(&first), None);
        assert_eq!(first.since(&later), None);
    }
}
