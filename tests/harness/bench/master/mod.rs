//! The load of a master: a real one (sessions, reconciler, aggregation, consensus with its log on
//! disk, ledger, one watcher of the live view) and the frames of 200 shards with 50 request names
//! each, second by second in real time. The shards are tasks on a runtime of their own, whose
//! processor time does not count.
//!
//! Reading order: this file, `cluster` (what the master takes for its cluster), `shard`.

mod cluster;
mod shard;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use onrush_node::master::tally::Tally;
use onrush_node::membership::handle::ClusterHandle;
use onrush_node::repository::Repository;
use onrush_raft::ledger::command::Command;
use onrush_raft::ledger::file::{FileCommand, Precondition};
use onrush_raft::ledger::job::{Job, JobCommand, JobSpec, JobStatus};
use onrush_raft::ledger::member::FOUNDER;
use onrush_raft::types::{ContentId, JobId};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use self::cluster::{Single, Workers};
use self::shard::Frames;
use super::Figure;
use super::figures::{figure, percentile};
use super::measure::Bench;

const SHARDS: u16 = 200;
const NAMES: usize = 50;
const SECONDS: usize = 60;
/// Seconds in which the job begins to flow; they do not count.
const FIRST_SECONDS: Duration = Duration::from_secs(3);
const START_WAIT: Duration = Duration::from_secs(60);
const MASTER_THREADS: usize = 2;
/// How threads that only make load are called: the kernel keeps 15 bytes of a name.
const WORKERS: &str = "bench-workers";
const JOB: &str = "job_bench";

/// # Errors
/// When the master does not start the job, or the kernel does not tell processor times.
pub(super) fn figures(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let dir = tempfile::tempdir_in(&bench.scratch)?;
    let loaders = runtime(WORKERS, 1)?;
    let master = runtime("bench-master", MASTER_THREADS)?;
    let frames = Arc::new(Frames::draw(NAMES));
    let frame_bytes = frames.bytes();
    let workers = Arc::new(Workers { runtime: loaders.handle().clone(), frames });
    let measured = master.block_on(measure(dir.path(), workers));
    loaders.shutdown_background();
    master.shutdown_background();
    let Measured { mut seconds_ms, mut lags_ms, ticks, payload_bytes } = measured?;
    let mean = seconds_ms.iter().sum::<f64>() / f64::from(u32::try_from(seconds_ms.len())?);
    let of = format!("master of {SHARDS} shards with {NAMES} names");
    let kib = |bytes: usize| f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1_024.0;
    Ok(vec![
        figure(format!("{of}: CPU a second of load"), mean, "ms"),
        figure(format!("{of}: CPU, worst second"), percentile(&mut seconds_ms, 1.0), "ms"),
        figure(format!("{of}: tick lag p50"), percentile(&mut lags_ms, 0.5), "ms"),
        figure(format!("{of}: tick lag p99"), percentile(&mut lags_ms, 0.99), "ms"),
        figure(format!("{of}: tick lag at most"), percentile(&mut lags_ms, 1.0), "ms"),
        figure(format!("{of}: ticks in {SECONDS} s"), f64::from(u32::try_from(ticks)?), ""),
        figure(format!("{of}: a frame"), kib(frame_bytes), "KiB"),
        figure(format!("{of}: the largest tick"), kib(payload_bytes), "KiB"),
    ])
}

fn runtime(name: &str, threads: usize) -> anyhow::Result<Runtime> {
    let built =
        Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build();
    built.context("the system gives no threads")
}

struct Measured {
    /// Processor time of the master's threads in each second.
    seconds_ms: Vec<f64>,
    /// Of each frame, from the end of its second to its tick's being applied.
    lags_ms: Vec<f64>,
    ticks: usize,
    payload_bytes: usize,
}

async fn measure(dir: &Path, workers: Arc<Workers>) -> anyhow::Result<Measured> {
    let cluster = Single::found(dir, workers, usize::from(SHARDS)).await?;
    let handle: ClusterHandle = Arc::clone(&cluster) as _;
    let repository = Repository::open(dir.join("blobs"))?;
    repository.attach(Arc::clone(&handle));
    let stop = CancellationToken::new();
    let reign =
        onrush_node::master::run(Arc::clone(&handle), Arc::clone(&repository), stop.clone());
    let reign = tokio::spawn(reign);
    submit(&cluster).await?;
    let start_at = tokio::time::timeout(START_WAIT, started(&handle)).await;
    let start_at = start_at.context("the master does not start the job")??;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watching = tokio::spawn(watch(Arc::clone(&handle), repository, Arc::clone(&seen)));
    let begin = Duration::from_millis(start_at.saturating_sub(handle.clock().unix_ms()));
    tokio::time::sleep(begin + FIRST_SECONDS).await;
    let mut seconds_ms = Vec::with_capacity(SECONDS);
    let mut before = processor_ns()?;
    *lock(&seen) = Seen::default();
    let mut next = Instant::now();
    for _ in 0..SECONDS {
        next += Duration::from_secs(1);
        tokio::time::sleep_until(next.into()).await;
        let now = processor_ns()?;
        seconds_ms.push(spent_ms(&before, &now));
        before = now;
    }
    let Seen { lags_ms, ticks, payload_bytes } = std::mem::take(&mut *lock(&seen));
    stop.cancel();
    watching.abort();
    let _ = reign.await;
    cluster.shutdown().await;
    Ok(Measured { seconds_ms, lags_ms, ticks, payload_bytes })
}

async fn submit(cluster: &Single) -> anyhow::Result<()> {
    let content = ContentId("a".repeat(64));
    let put = FileCommand::Put {
        project: "default".into(),
        path: "main.js".to_owned(),
        content: content.clone(),
        size: 1,
        holders: vec![FOUNDER],
        condition: Precondition::default(),
    };
    cluster.apply(Command::File(put)).await?;
    let spec = JobSpec {
        simulation: "main.js".to_owned(),
        files: BTreeMap::from([("main.js".to_owned(), content)]),
        nodes: u32::from(SHARDS),
        ..JobSpec::default()
    };
    let submit = JobCommand::Submit { id: JOB.into(), project: "default".into(), spec };
    cluster.apply(Command::Job(submit)).await?;
    Ok(())
}

/// The common start, once it is committed.
async fn started(cluster: &ClusterHandle) -> anyhow::Result<u64> {
    let (mut applied, id) = (cluster.applied(), JobId::from(JOB));
    loop {
        if let Some(job) = cluster.ledger().job(&id) {
            match (job.status, job.start_at) {
                (JobStatus::Running, Some(at)) => return Ok(at),
                (status, _) if status.is_terminal() => bail!("the job ended: {:?}", job.verdict),
                _ => {}
            }
        }
        applied.changed().await?;
    }
}

#[derive(Default)]
struct Seen {
    lags_ms: Vec<f64>,
    ticks: usize,
    payload_bytes: usize,
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One watcher of the job's live view, as the API has it; notes how late each tick is.
async fn watch(
    cluster: ClusterHandle,
    repository: Arc<Repository>,
    seen: Arc<Mutex<Seen>>,
) -> anyhow::Result<()> {
    let (mut applied, id) = (cluster.applied(), JobId::from(JOB));
    let (mut tally, mut last) = (Tally::default(), 0);
    loop {
        applied.changed().await?;
        let ledger = cluster.ledger();
        let Some(job) = ledger.job(&id).filter(|job| job.last_tick > last) else { continue };
        note(job, last, cluster.clock().unix_ms(), &mut lock(&seen));
        last = job.last_tick;
        tally.catch_up(job, &repository).await?;
        drop(serde_json::to_string(&tally.aggregate.live()));
    }
}

fn note(job: &Job, last: u64, now_ms: u64, seen: &mut Seen) {
    let start = job.start_at.unwrap_or_default();
    for tick in job.ticks.iter().filter(|tick| tick.number > last) {
        seen.ticks += 1;
        seen.payload_bytes = seen.payload_bytes.max(tick.payload.len());
        let frames = tick.cursors.iter().flat_map(|moved| moved.from + 1..=moved.to);
        let lag = |seq: u64| now_ms.saturating_sub(start + seq * 1_000);
        seen.lags_ms
            .extend(frames.map(|seq| f64::from(u32::try_from(lag(seq)).unwrap_or(u32::MAX))));
    }
}

/// Of every thread of this process but those of the workers: nanoseconds on a processor so far.
fn processor_ns() -> anyhow::Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let path = entry?.path();
        // A thread may end meanwhile.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        let Ok(spent) = std::fs::read_to_string(path.join("schedstat")) else { continue };
        if name.trim_end() != WORKERS {
            let ns = spent.split_ascii_whitespace().next().and_then(|it| it.parse().ok());
            all.insert(path.display().to_string(), ns.context("no processor times in /proc")?);
        }
    }
    Ok(all)
}

/// What ended between the two looks is not counted: short-lived threads of the file system's pool.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn spent_ms(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> f64 {
    let of = |(thread, ns): (&String, &u64)| {
        ns.saturating_sub(before.get(thread).copied().unwrap_or(0)) as f64
    };
    now.iter().map(of).sum::<f64>() / 1e6
}
