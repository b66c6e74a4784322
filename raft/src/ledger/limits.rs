//! Every bound of the ledger, in one place. What exceeds one is refused with its name and figure.

use super::outcome::Rejection;

/// Nodes that are members at one time; as many removed ones are remembered.
pub const MEMBERS_MAX: usize = 1_024;
pub const PROJECTS_MAX: usize = 1_024;
pub const FILES_PER_PROJECT_MAX: usize = 20_000;
pub const VERSIONS_PER_FILE_MAX: usize = 1_000;
pub const PATH_BYTES_MAX: usize = 512;
/// Jobs ever kept, ended ones included.
pub const JOBS_MAX: usize = 100_000;
/// Jobs of one project that have not ended.
pub const LIVE_JOBS_PER_PROJECT_MAX: usize = 1_000;
pub const ASSIGNMENTS_MAX: usize = 4_096;
/// Shards of one job, those that are lost or done included.
pub const SHARDS_MAX: usize = 1_024;
/// Segments of one shard: S is 720, or the number of nodes if larger.
pub const SEGMENTS_MAX: usize = 1_024;
/// Feeders and counters of a simulation, in what a shard reserves.
pub const SEQUENCES_MAX: usize = 1_024;
/// Populations of a simulation that follow on others, where shards take over from one another.
pub const STAGES_MAX: usize = 1_024;
/// Changes of one job's load.
pub const LOAD_CHANGES_MAX: usize = 256;
pub const EVENTS_PER_JOB_MAX: usize = 256;
/// The first events of a job that are never left out.
pub const EVENTS_HEAD: usize = 64;
pub const EVENT_BYTES_MAX: usize = 4 * 1_024;
/// Ticks of one job not yet sealed; a job at this bound gets no more until some are sealed.
pub const UNSEALED_TICKS_MAX: usize = 180;
pub const TICK_BYTES_MAX: usize = 768 * 1_024;
pub const SECTIONS_MAX: usize = 1_024;
pub const SEALED_MAX: usize = 100_000;
pub const ARTIFACTS_MAX: usize = 64;
pub const TITLE_BYTES_MAX: usize = 256;
pub const LABELS_MAX: usize = 64;
pub const LABEL_BYTES_MAX: usize = 256;
/// Zones with a share of a job, and the largest share beside the others'.
pub const ZONES_MAX: usize = 64;
pub const ZONE_SHARE_MAX: u32 = 1_000_000;
pub const PARAMETERS_MAX: usize = 512;
pub const PARAMETER_BYTES_MAX: usize = 32 * 1_024;
pub const JOB_FILES_MAX: usize = 4_096;
/// Of the opaque JSON texts `plan` and `digest`.
pub const OPAQUE_BYTES_MAX: usize = 256 * 1_024;
pub const REASON_BYTES_MAX: usize = 16 * 1_024;
pub const NAME_BYTES_MAX: usize = 128;
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
pub const IDEMPOTENCY_KEYS_PER_PROJECT_MAX: usize = 10_000;
/// How long an idempotency key is remembered, by the proposers' clocks.
pub const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Refuses a text longer than `max` bytes.
pub(super) fn text(what: &str, text: &str, max: usize) -> Result<(), Rejection> {
    if text.len() > max {
        return Err(Rejection::Invalid(format!(
            "{what} has {} bytes; at most {max} are allowed",
            text.len()
        )));
    }
    Ok(())
}

/// Refuses a collection with more than `max` elements.
pub(super) fn count(what: &str, len: usize, max: usize) -> Result<(), Rejection> {
    if len > max {
        return Err(Rejection::Invalid(format!("{len} {what}; at most {max} are allowed")));
    }
    Ok(())
}
