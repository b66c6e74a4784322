//! The folders of the shards this node ran: `runs/<job>/<shard>-<epoch>/` with `files/` (what the
//! simulation reads), `spool` (unacknowledged frames), `report.json` (how it ended), `stdout.log`,
//! `stderr.log`, and `arrivals.csv` where the job asked for it. A folder with a spool is a shard
//! that the master has not released.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use onrush_raft::types::JobId;
use onrush_scenario::shard::LoadHeard;

use super::outbox::{self, Outbox};
use super::sender::Spool;
use crate::control_wire::{ClosedUsers, Phase, RESTARTED, ShardKey, ShardReport};

/// Jobs whose folders stay for their logs; the oldest go first.
pub const JOBS_KEPT_MAX: usize = 200;
pub const SPOOL: &str = "spool";
pub const FILES: &str = "files";
const REPORT: &str = "report.json";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    pub key: ShardKey,
    pub folder: PathBuf,
}

/// # Errors
/// A job id that could leave the folder; a ledger's ids never do.
pub fn folder(root: &Path, key: &ShardKey) -> Result<PathBuf, String> {
    Ok(job_folder(root, &key.job)?.join(format!("{}-{}", key.shard, key.epoch)))
}

fn job_folder(root: &Path, job: &JobId) -> Result<PathBuf, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if job.0.is_empty() || job.0.len() > 64 || !job.0.bytes().all(plain) {
        return Err(format!("{:?} is not a job id", job.0));
    }
    Ok(root.join(&job.0))
}

/// The runs of a job on this node, by shard and epoch; none where there is no folder.
///
/// # Errors
/// Not a job id, or the folder cannot be listed.
pub fn of_job(root: &Path, job: &JobId) -> Result<Vec<RunFolder>, String> {
    let folder = job_folder(root, job)?;
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut runs = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let parsed = name
            .split_once('-')
            .and_then(|(shard, epoch)| Some((shard.parse().ok()?, epoch.parse().ok()?)));
        if let Some((shard, epoch)) = parsed {
            let key = ShardKey { job: job.clone(), shard, epoch };
            runs.push(RunFolder { key, folder: entry.path() });
        }
    }
    runs.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(runs)
}

/// The shard of this folder has ended: its logs grow no more.
#[must_use]
pub fn is_over(folder: &Path) -> bool {
    fs::metadata(folder.join(REPORT)).is_ok_and(|meta| meta.is_file())
}

/// Keeps how a shard ended, so that a restarted node can say it.
///
/// # Errors
/// The disk's.
pub fn keep_report(folder: &Path, report: &ShardReport) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(report)?;
    let beside = folder.join("report.tmp");
    fs::write(&beside, bytes)?;
    fs::rename(beside, folder.join(REPORT))
}

/// The folder of a shard that is released, until all but its logs is gone.
#[derive(Debug)]
pub struct Left {
    pub key: ShardKey,
    pub folder: PathBuf,
    /// How it ended, unless that is kept already; none: there never was a shard.
    pub report: Option<ShardReport>,
}

impl Left {
    /// Removes all but the logs. May be called again: what was refused may be possible later.
    ///
    /// # Errors
    /// The disk's.
    pub fn clear(&self) -> std::io::Result<()> {
        // On a full disk the report has room once the files are gone.
        discard_files(&self.folder)?;
        if let Some(report) = self.report.as_ref().filter(|_| !is_over(&self.folder)) {
            keep_report(&self.folder, report)?;
        }
        discard(&self.folder)
    }
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes what the simulation read.
///
/// # Errors
/// The disk's.
pub fn discard_files(folder: &Path) -> std::io::Result<()> {
    gone(fs::remove_dir_all(folder.join(FILES)))
}

/// Removes all but the logs.
///
/// # Errors
/// The disk's.
pub fn discard(folder: &Path) -> std::io::Result<()> {
    discard_files(folder)?;
    gone(fs::remove_file(folder.join(SPOOL)))
}

/// After a restart of the node: shards that were not released, each with its spool. Those that ran
/// are gone, because a child never outlives its node.
pub fn recall(root: &Path) -> Vec<(RunFolder, Outbox, ShardReport)> {
    let mut found = Vec::new();
    for job in fs::read_dir(root).into_iter().flatten().flatten() {
        let job = JobId(job.file_name().to_string_lossy().into_owned());
        for run in of_job(root, &job).unwrap_or_default() {
            let spool = run.folder.join(SPOOL);
            if !fs::metadata(&spool).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            match reopen(&run, &spool) {
                Ok((outbox, report)) => found.push((run, outbox, report)),
                Err(error) => tracing::warn!(run = %run.key, %error, "spool not readable"),
            }
        }
    }
    found
}

fn reopen(run: &RunFolder, spool: &Path) -> Result<(Outbox, ShardReport), outbox::Error> {
    let outbox = Outbox::open(spool)?;
    let kept = fs::read(run.folder.join(REPORT)).ok();
    let kept = kept.and_then(|bytes| serde_json::from_slice::<ShardReport>(&bytes).ok());
    let newest = outbox.newest();
    let report = match kept {
        // All acknowledged frames may be gone from the file: the report remembers the newest.
        Some(report) => ShardReport { newest: newest.max(report.newest), ..report },
        None => ShardReport {
            key: run.key.clone(),
            phase: Phase::Gone { reason: RESTARTED.to_owned() },
            newest,
            start_us: None,
            yields: Vec::new(),
            load: LoadHeard::default(),
            closed: ClosedUsers::default(),
        },
    };
    if is_over(&run.folder) {
        return Ok((outbox, report));
    }
    // On a full disk, too, the frames that are there are delivered.
    if let Err(error) = keep_report(&run.folder, &report) {
        tracing::warn!(run = %run.key, %error, "report not kept");
    }
    Ok((outbox, report))
}

/// Removes the folders of the oldest jobs beyond the bound; those with a spool stay.
pub fn prune(root: &Path) {
    let mut jobs: Vec<(SystemTime, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    jobs.sort();
    let surplus = jobs.len().saturating_sub(JOBS_KEPT_MAX);
    for (_, folder) in jobs.into_iter().take(surplus) {
        let job = JobId(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let runs = of_job(root, &job).unwrap_or_default();
        let held = runs.iter().any(|run| fs::metadata(run.folder.join(SPOOL)).is_ok());
        if !held && let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(folder = %folder.display(), %error, "old run stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ShardKey {
        ShardKey { job: JobId("job_1".into()), shard: 2, epoch: 3 }
    }

    #[test]
    fn job_ids_stay_inside() {
        for bad in ["", "..", "a/b", "a\0", "."] {
            let key = ShardKey { job: JobId(bad.into()), shard: 0, epoch: 1 };
            assert!(folder(Path::new("/runs"), &key).is_err(), "{bad:?}");
        }
        assert_eq!(folder(Path::new("/runs"), &key()).unwrap(), Path::new("/runs/job_1/2-3"));
    }

    #[test]
    fn a_restarted_node_reports_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &key()).unwrap();
        fs::create_dir_all(&folder).unwrap();
        let mut outbox = Outbox::open(&folder.join(SPOOL)).unwrap();
        outbox.append(1, b"one").unwrap();
        assert!(!is_over(&folder));
        drop(outbox);

        let (_, outbox, report) = recall(dir.path()).remove(0);
        let phase = Phase::Gone { reason: "its node was restarted".into() };
        assert_eq!(
            report,
            ShardReport {
                key: key(),
                phase,
                newest: 1,
                start_us: None,
                yields: vec![],
                load: LoadHeard::default(),
                closed: ClosedUsers::default(),
            }
        );
        assert_eq!(outbox.newest(), 1);
        assert!(is_over(&folder));

        let phase = Phase::Ended { reason: "\"completed\"".into() };
        let kept = ShardReport {
            key: key(),
            phase,
            newest: 9,
            start_us: None,
            yields: vec![],
            load: LoadHeard::default(),
            closed: ClosedUsers::default(),
        };
        keep_report(&folder, &kept).unwrap();
        assert_eq!(recall(dir.path()).remove(0).2, kept);

        discard(&folder).unwrap();
        assert!(recall(dir.path()).is_empty());
        assert!(is_over(&folder));
    }

    /// Once the spool of a shard that was released on a full disk stayed for ever.
    #[test]
    fn what_a_disk_refuses_to_let_go_goes_later() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), &key()).unwrap();
        fs::create_dir_all(folder.join(FILES)).unwrap();
        fs::write(folder.join(SPOOL), "x").unwrap();
        let phase = Phase::Gone { reason: "released".into() };
        let load = LoadHeard::default();
        let (start_us, yields) = (None, Vec::new());
        let report = ShardReport {
            key: key(),
            phase,
            newest: 1,
            start_us,
            yields,
            load,
            closed: ClosedUsers::default(),
        };
        let left = Left { key: key(), folder: folder.clone(), report: Some(report) };
        // The report cannot be written: as on a disk without room.
        fs::create_dir(folder.join("report.tmp")).unwrap();
        assert!(left.clear().is_err());
        assert!(!folder.join(FILES).exists() && folder.join(SPOOL).exists());
        fs::remove_dir(folder.join("report.tmp")).unwrap();
        left.clear().unwrap();
        assert!(is_over(&folder) && !folder.join(SPOOL).exists());
        left.clear().unwrap();
    }
}
