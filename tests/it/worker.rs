//! The worker with real shard processes, and the test as its master: from prepare to released, and
//! children that die, hang and never begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::process::{binary, signal};
use onrush_node::clock::Clock;
use onrush_node::control_wire::{
    self, CONTROL_VERSION, FromWorker, Phase, ShardKey, ShardOrder, ShardReport, ToWorker,
};
use onrush_node::repository::Repository;
use onrush_node::worker::{BUILD_LIMIT, Config, Worker};
use onrush_raft::types::{ContentId, PeerName};
use onrush_scenario::stats::frame::Frame;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_millis(200);
const LEASE_MS: u64 = 7_000;
const USERS_PER_SEC: u64 = 20;

fn simulation(seconds: u64) -> String {
    format!(
        "import {{ constantUsersPerSec, scenario, simulation }} from \"@gatling.io/core\";\n\
         console.log(\"loaded\");\n\
         export default simulation((setUp) => {{\n\
           const s = scenario(\"s\").pause(0.05);\n\
           setUp(s.injectOpen(constantUsersPerSec({USERS_PER_SEC}).during({seconds})));\n\
         }});\n"
    )
}

/// A worker, and the master's end of a session with it.
struct Setup {
    runs: PathBuf,
    key: ShardKey,
    content: ContentId,
    clock: Clock,
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
    beat: Instant,
    reports: Vec<ShardReport>,
    frames: Vec<Frame>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn shard_command() -> Vec<String> {
    vec![binary("onrush").display().to_string(), "shard".to_owned()]
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).into()
}

impl Setup {
    /// A worker that has been ordered to prepare a shard of `seconds` of load.
    async fn ordered(command: Vec<String>, build_limit: Duration, seconds: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (runs, clock, stop) =
            (dir.path().join("runs"), Clock::default(), CancellationToken::new());
        let repository = Repository::open(dir.path().join("blobs")).expect("a repository");
        let mut draft = repository.store().draft().expect("a draft");
        draft.write(simulation(seconds).as_bytes()).expect("written");
        let (content, _) = draft.finish(None).expect("kept");
        let name = "node-1".to_owned();
        let config = Config { runs: runs.clone(), name, command, build_limit };
        let started = Worker::start(config, Arc::clone(&repository), clock, stop.clone());
        let (worker, task) = started.expect("a worker");
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(worker.control_handler()(PeerName::from("master"), Box::new(far)));
        let (from, to) = tokio::io::split(near);
        let key = ShardKey { job: "job_1".into(), shard: 0, epoch: 1 };
        let (reports, frames, beat) = (Vec::new(), Vec::new(), Instant::now());
        let mut setup = Self {
            runs,
            key,
            content,
            clock,
            from,
            to,
            beat,
            reports,
            frames,
            stop,
            task,
            _dir: dir,
        };
        setup.tell(ToWorker::Hello { version: CONTROL_VERSION, term: 1, leader: 1 }).await;
        setup.heartbeat().await;
        let order = setup.order();
        setup.tell(ToWorker::Prepare(Box::new(order))).await;
        setup
    }

    fn order(&self) -> ShardOrder {
        ShardOrder {
            key: self.key.clone(),
            segments_total: 720,
            segments: (0..720).collect(),
            seed: 1,
            simulation: "main.gatling.js".to_owned(),
            files: BTreeMap::from([("main.gatling.js".to_owned(), self.content.clone())]),
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            submitted_at: self.clock.unix_ms(),
            record_arrivals: false,
            max_duration_ms: None,
            takes_over: false,
            unhurried: false,
        }
    }

    async fn tell(&mut self, message: ToWorker) {
        control_wire::send(&mut self.to, &message).await.expect("the worker reads");
    }

    async fn heartbeat(&mut self) {
        let mono_us = self.clock.now_us();
        self.beat = Instant::now();
        self.tell(ToWorker::Heartbeat { term: 1, leader: 1, mono_us, lease_ms: LEASE_MS }).await;
    }

    /// Beats, answers and listens until the shard is in a phase as wanted; gives its report.
    async fn until(&mut self, what: &str, wanted: impl Fn(&ShardReport) -> bool) -> ShardReport {
        let started = Instant::now();
        loop {
            let key = &self.key;
            let own = self.reports.iter().find(|report| report.key == *key);
            if let Some(report) = own.filter(|report| wanted(report)) {
                return report.clone();
            }
            let seen = own.map(|report| report.phase.clone());
            assert!(started.elapsed() < LIMIT, "never {what}; last {seen:?}");
            self.hear().await;
        }
    }

    /// One message, and a heartbeat when it is due.
    async fn hear(&mut self) {
        if self.beat.elapsed() >= HEARTBEAT {
            self.heartbeat().await;
        }
        // The worker answers each heartbeat, so this ends before the next one is due or soon after.
        match control_wire::receive(&mut self.from).await.expect("the worker talks") {
            FromWorker::Probe { sent_us } => {
                let (mono_us, unix_us) = (self.clock.now_us(), self.clock.unix_us());
                self.tell(ToWorker::Probed { sent_us, mono_us, unix_us }).await;
                // So that a quiet worker has something to answer.
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.heartbeat().await;
            }
            FromWorker::Report { shards } => self.reports = shards,
            FromWorker::Frame { key, seq, body } => {
                assert_eq!(key, self.key);
                let frame = Frame::decode(&body).expect("a frame");
                assert_eq!(frame.seq, seq);
                assert_eq!(seq, self.frames.len() as u64 + 1, "in order, each once");
                self.frames.push(frame);
            }
            FromWorker::Refused { reason, .. } => unreachable!("refused: {reason}"),
        }
    }

    async fn until_ready(&mut self) {
        self.until("ready", |report| matches!(report.phase, Phase::Ready { .. })).await;
    }

    async fn start(&mut self) {
        self.tell(ToWorker::Resume { key: self.key.clone(), cursor: 0 }).await;
        let at_us = i64::try_from(self.clock.now_us() + 300_000).expect("not in this age");
        self.tell(ToWorker::Start { key: self.key.clone(), at_us, take_over: None }).await;
        self.until("running", |report| report.phase == Phase::Running).await;
    }

    /// All frames up to the report's newest.
    async fn until_delivered(&mut self, newest: u64) {
        let started = Instant::now();
        while (self.frames.len() as u64) < newest {
            assert!(started.elapsed() < LIMIT, "{} of {newest} frames", self.frames.len());
            self.hear().await;
        }
    }

    async fn release(&mut self) {
        self.tell(ToWorker::Ack { key: self.key.clone(), cursor: self.frames.len() as u64 }).await;
        self.tell(ToWorker::Release { key: self.key.clone() }).await;
        let started = Instant::now();
        while !self.reports.is_empty() {
            assert!(started.elapsed() < LIMIT, "never released");
            self.hear().await;
        }
        let folder = self.runs.join("job_1/0-1");
        let left = |name: &str| folder.join(name).symlink_metadata().is_ok();
        assert!(!left("spool") && !left("files"), "only logs and report stay");
        assert!(left("stdout.log") && left("report.json"));
    }

    fn users_started(&self) -> u64 {
        self.frames.iter().flat_map(|frame| &frame.scenarios).map(|scenario| scenario.started).sum()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("the worker's task ends");
    }
}

/// Pids of the living shard processes whose folder is inside `runs`.
fn shards_in(runs: &Path) -> Vec<u32> {
    let runs = std::fs::canonicalize(runs).expect("the folder of the runs");
    let folder = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    pids.filter(|pid| folder(pid).starts_with(&runs)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_prepared_run_delivered_and_released() {
    let mut setup = Setup::ordered(shard_command(), BUILD_LIMIT, 3).await;
    setup.until_ready().await;
    setup.start().await;
    let report = setup.until("ended", |report| matches!(report.phase, Phase::Ended { .. })).await;
    assert_eq!(report.phase, Phase::Ended { reason: "\"completed\"".to_owned() });
    setup.until_delivered(report.newest).await;
    let last = setup.frames.last().and_then(|frame| frame.totals).expect("totals");
    assert_eq!((setup.users_started(), last.users_started), (3 * USERS_PER_SEC, 3 * USERS_PER_SEC));
    let log = std::fs::read_to_string(setup.runs.join("job_1/0-1/stdout.log")).expect("its log");
    assert!(log.trim_end().ends_with(" loaded"), "{log}");
    setup.release().await;
    setup.end().await;
}

/// What it had delivered counts, and why it is gone is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_killed_is_reported_with_the_frames_it_cut() {
    let mut setup = Setup::ordered(shard_command(), BUILD_LIMIT, 60).await;
    setup.until_ready().await;
    setup.start().await;
    setup.until("cutting frames", |report| report.newest >= 2).await;
    let shards = shards_in(&setup.runs);
    assert_eq!(shards.len(), 1, "{shards:?}");
    shards.into_iter().for_each(|pid| signal(pid, "KILL"));
    let report = setup.until("gone", |report| matches!(report.phase, Phase::Gone { .. })).await;
    let reason = "its process was killed (signal 9): out of memory, or by somebody".to_owned();
    assert_eq!(report.phase, Phase::Gone { reason });
    setup.until_delivered(report.newest).await;
    assert!(setup.users_started() > 0);
    setup.release().await;
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_never_gets_ready_is_ended_and_says_so() {
    let limit = Duration::from_secs(1);
    let mut setup = Setup::ordered(shell("exec sleep 600"), limit, 3).await;
    let report = setup.until("failed", |report| matches!(report.phase, Phase::Failed { .. })).await;
    let Phase::Failed { problem } = report.phase else { unreachable!() };
    assert!(problem.contains("the simulation was not built within 1s"), "{problem}");
    setup.release().await;
    setup.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_ends_before_it_is_ready_is_gone_and_one_without_a_program_is_unable() {
    let mut setup = Setup::ordered(shell("exit 3"), BUILD_LIMIT, 3).await;
    let report = setup.until("gone", |report| !report.phase.is_live()).await;
    let reason = "its process ended with exit code 3".to_owned();
    assert_eq!(report.phase, Phase::Gone { reason });
    setup.release().await;
    setup.end().await;

    let nothing = vec!["/nowhere/onrush".to_owned(), "shard".to_owned()];
    let mut setup = Setup::ordered(nothing, BUILD_LIMIT, 3).await;
    let report = setup.until("unable", |report| !report.phase.is_live()).await;
    let Phase::Unable { reason } = &report.phase else { unreachable!("{report:?}") };
    assert!(reason.starts_with("/nowhere/onrush shard could not be started: "), "{reason}");
    setup.end().await;
}

/// Once four that took over from shards that lived loaded the simulation at the same moment, on all
/// cores, and the load beside them was late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_no_hurry_loads_the_simulation_when_nobody_else_does() {
    // Who is in a hurry waits until another one loads beside it.
    let two = "until [ $(grep -c begin LOG) -ge 2 ]; do sleep 0.01; done";
    let cases =
        [(true, "sleep 0.3", "begin end begin end begin end "), (false, two, "begin begin ")];
    for (unhurried, loads, expected) in cases {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        // The one that is there from the start is over before the others come.
        let script =
            format!("[ -e LOG ] || exit 3; echo begin >> LOG; {loads}; echo end >> LOG; exit 3");
        let script = script.replace("LOG", &log.display().to_string());
        let mut setup = Setup::ordered(shell(&script), BUILD_LIMIT, 3).await;
        setup.until("gone", |report| !report.phase.is_live()).await;
        std::fs::write(&log, "").expect("a log");
        for shard in 1..4 {
            let key = ShardKey { shard, ..setup.key.clone() };
            let order = ShardOrder { key: key.clone(), unhurried, ..setup.order() };
            setup.key = key;
            setup.tell(ToWorker::Prepare(Box::new(order))).await;
        }
        for shard in 1..4 {
            setup.key.shard = shard;
            setup.until("gone", |report| !report.phase.is_live()).await;
        }
        let log = std::fs::read_to_string(log).expect("it has written").replace('\n', " ");
        assert!(log.starts_with(expected), "{unhurried}: {log}");
        setup.end().await;
    }
}

/// A node that stops takes its shards with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_shard_outlives_its_worker() {
    let mut setup = Setup::ordered(shard_command(), BUILD_LIMIT, 60).await;
    setup.until_ready().await;
    assert_eq!(shards_in(&setup.runs).len(), 1);
    setup.stop.cancel();
    (&mut setup.task).await.expect("the worker's task ends");
    let started = Instant::now();
    while !shards_in(&setup.runs).is_empty() {
        assert!(started.elapsed() < LIMIT, "it lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
