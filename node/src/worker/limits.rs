//! The worker's bounds.

use std::time::Duration;

/// Events of sessions and children that wait for the actor.
pub(super) const EVENTS_MAX: usize = 1_024;
/// Messages that wait to be written to the master; frames beyond wait in their spools.
pub(super) const TO_MASTER_MAX: usize = 256;
/// The actor looks at its deadlines this often.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// A running process of which nothing is heard in so many looks hangs: 10 s, above any pause that a
/// busy machine makes. It says once a second that it lives, whatever its engine threads do.
pub(super) const SILENT_LOOKS_MAX: u32 = 100;
/// From the start of a child until it is ready. The script engine's own limit is shorter and says
/// more; this ends a child that hangs in spite of it.
pub const BUILD_LIMIT: Duration = Duration::from_secs(20);
/// From `Stop` to the kill of the group: an abort takes effect within a second.
pub(super) const STOP_LIMIT_US: u64 = 900_000;
/// A running child that outlives its lease by this is killed.
pub(super) const LEASE_KILL_US: u64 = 900_000;
/// All shards are reported, changed or not, at a heartbeat after this time.
pub(super) const REPORT_EVERY_US: u64 = 400_000;
/// Exchanges in quick succession at the beginning of a session; later, one per heartbeat.
pub(super) const PROBES_FIRST: u32 = 5;
/// Folders of released shards that a disk does not let go are tried again after this.
pub(super) const CLEAR_EVERY_US: u64 = 1_000_000;
