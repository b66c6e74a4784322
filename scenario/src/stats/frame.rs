//! What one shard measured in one second, and how it crosses to the node: postcard, versioned.
//! Histograms travel sparse and lossless: the bucket values of a 3-digit HDR histogram with their
//! counts, beside exact count, sum, minimum and maximum.

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// Bumped when the layout changes; nodes of another version refuse the shard at `Ready`.
pub const FRAME_VERSION: u16 = 1;

/// The measurements of one shard in one second of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    pub version: u16,
    pub shard: u32,
    pub epoch: u64,
    /// 1, 2, 3 … without gaps, per shard and epoch.
    pub seq: u64,
    /// Zero-based second of the run, by the common start.
    pub second: u32,
    pub requests: Vec<RequestDelta>,
    pub groups: Vec<GroupDelta>,
    pub scenarios: Vec<ScenarioDelta>,
    pub errors: Vec<ErrorDelta>,
    pub feeders: Vec<FeederDelta>,
    pub connections: ConnectionDelta,
    pub generator: GeneratorHealth,
    /// Only in the last frame of the shard: what all frames of this epoch must add up to.
    pub totals: Option<Totals>,
}

/// Responses that ended in this second, by request path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestDelta {
    /// Names of the enclosing groups, then the request's.
    pub path: Vec<String>,
    pub sent: u64,
    pub ok: Times,
    pub ko: Times,
    /// HTTP status (or another protocol's code) → count. 0: no response.
    pub codes: Vec<(u16, u64)>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// Groups left in this second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupDelta {
    pub path: Vec<String>,
    /// Exit minus enter.
    pub duration_ok: Times,
    pub duration_ko: Times,
    /// Sum of the response times inside, pauses excluded (Gatling's default group metric).
    pub cumulated_ok: Times,
    pub cumulated_ko: Times,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenarioDelta {
    pub name: String,
    pub started: u64,
    pub ended: u64,
    /// Users alive at the end of this second on this shard.
    pub active: u64,
    /// The most that were alive at once in this second.
    pub active_max: u64,
    /// Users the whole job will start in this scenario, where the profile says (open model).
    pub planned: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorDelta {
    /// Path of the request, or empty where no request was sent.
    pub path: Vec<String>,
    pub message: String,
    pub count: u64,
    /// True for a request that could not be built: an error line, not a request.
    pub crash: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeederDelta {
    pub feeder: u32,
    /// Next record number of this shard's division.
    pub position: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionDelta {
    pub opened: u64,
    pub closed: u64,
    pub failed: u64,
}

/// What tells a slow target from a slow generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorHealth {
    /// Of the shard's process, in percent of one core.
    pub cpu_percent: f32,
    /// Share of the machine's time taken by the hypervisor, in percent.
    pub steal_percent: f32,
    pub loop_lag_max_us: u64,
    /// Scheduled start to actual start of the users started in this second.
    pub lateness_p99_us: u64,
    pub lateness_max_us: u64,
    /// Arrivals given up because the generator could not start them (never silently).
    pub dropped: u64,
    /// Socket errors of the generator's own making: no port, no descriptor.
    pub local_errors: u64,
    pub open_files: u32,
    pub rss_bytes: u64,
}

/// Cumulated over the shard's life in one epoch: the proof that nothing was lost or doubled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub frames: u64,
    pub requests_ok: u64,
    pub requests_ko: u64,
    pub users_started: u64,
    pub users_ended: u64,
    pub errors: u64,
}

/// A sparse histogram of microseconds with exact moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub count: u64,
    pub sum_us: u64,
    /// Sum of squares of milliseconds (exact integers), for the standard deviation.
    pub sum_sq_ms: u128,
    pub min_us: Micros,
    pub max_us: Micros,
    /// (increase of the bucket's lowest value over the previous bucket's, count), ascending.
    pub buckets: Vec<(u64, u64)>,
}
