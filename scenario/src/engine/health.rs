//! What the machine says of the generator itself, from `/proc`: processor time, time stolen by the
//! hypervisor, memory, descriptors. A figure that cannot be read is 0.

use std::fs;

use super::clock;
use crate::stats::frame::GeneratorHealth;

/// Kernel ticks per second, as `/proc` counts processor time on every Linux we run on.
const TICKS_PER_SECOND: f32 = 100.0;

/// Remembers the last reading, to give rates.
#[derive(Debug, Default)]
pub(super) struct Health {
    at_us: u64,
    own_ticks: u64,
    stolen: u64,
    machine: u64,
}

impl Health {
    /// Fills in what the process knows of itself since the last call.
    pub(super) fn sample(&mut self, into: &mut GeneratorHealth) {
        let at_us = clock::unix_us();
        let own = own_ticks().unwrap_or(0);
        let (machine, stolen) = machine_ticks().unwrap_or((0, 0));
        #[expect(clippy::cast_precision_loss, reason = "percentages of one second")]
        if self.at_us > 0 && at_us > self.at_us {
            let seconds = (at_us - self.at_us) as f32 / 1e6;
            let used = own.saturating_sub(self.own_ticks) as f32 / TICKS_PER_SECOND;
            into.cpu_percent = used / seconds * 100.0;
            let all = machine.saturating_sub(self.machine);
            if all > 0 {
                let share = stolen.saturating_sub(self.stolen) as f32 / all as f32;
                into.steal_percent = share * 100.0;
            }
        }
        *self = Self { at_us, own_ticks: own, stolen, machine };
        into.rss_bytes = rss_bytes().unwrap_or(0);
        into.open_files = open_files();
    }
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
