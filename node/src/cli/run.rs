//! `onrush run FILE [key=value …]`: runs a simulation on this machine, without a cluster, shows it
//! live, and leaves a results folder. Refuses to report what it could not run as if it had run.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use onrush_api::report;
use onrush_scenario::engine::{self, Control, clock};
use onrush_scenario::shard::{EndReason, OutputStream, Plan, Problem, ProblemKind, ShardSpec};
use onrush_scenario::stats::aggregate::Aggregate;
use onrush_scenario::stats::assertion::AssertionSpec;
use onrush_scenario::stats::summarize::Context;
use onrush_scenario::stats::summary::{RunInfo, Summary, VerdictValue};

use super::exit::Exit;
use super::local::{self, exit_of, print_problem};
use super::progress::{Header, Mode, Progress, colour};
use super::results::{self, Folder};
use super::{Global, say, tell};

/// Events that may wait for this thread; more hold the engine's coordinator up.
const EVENTS_MAX: usize = 1_024;
/// Why a run ended that a signal ended.
const INTERRUPTED: &str = "interrupted";
/// An engine that is told to end its users has ended them, and cut its last frame, after this.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    simulation: local::Simulation,
    /// Results folder [default: onrush-results/<name>-<yyyymmdd-hhmmss>]
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Another report, its kind by its extension: .html .json .csv .md (repeatable)
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t)]
    progress: Mode,
    /// Engine threads; 0: one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: u32,
    /// Processes; 0: as many as the users need descriptors for
    #[arg(long, default_value_t = 0, value_name = "N")]
    processes: u32,
    /// Ends the run after this long: 90s, 5m, 1h30m; a bare number is seconds
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_duration: Option<Duration>,
    /// Title of the report
    #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
    title: String,
    /// Exit with 0 whatever the verdict
    #[arg(long)]
    exit_zero: bool,
}

/// `90s`, `5m`, `1h30m`, `250ms`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write 90s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut total_ms, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let value: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let tail = &rest[digits..];
        let unit_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit_ms: u64 = match &tail[..unit_length] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let part = value.checked_mul(unit_ms).ok_or_else(wrong)?;
        total_ms = total_ms.checked_add(part).ok_or_else(wrong)?;
        rest = &tail[unit_length..];
    }
    if total_ms == 0 { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// What this thread waits for.
enum Message {
    Engine(engine::Event),
    /// The engine has ended; `None`: it panicked.
    Ended(Option<Result<EndReason, Problem>>),
    /// The first or the second; the code that a second one of this kind ends the process with.
    Signal(Exit),
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    results::check_reports(&args.report)?;
    let spec = shard_spec(&args)?;
    let now = jiff::Timestamp::now();
    let folder = args.results.clone();
    let path = folder.unwrap_or_else(|| results::default_folder(&spec.simulation, now));
    let mode = if global.quiet { Mode::None } else { args.progress };
    let mut session = Session {
        path,
        folder: None,
        progress: Progress::new(mode),
        header: Header { title: args.title.clone(), ..Header::default() },
        aggregate: Aggregate::new(),
        plan: None,
        started_unix_ms: 0,
        started_us: 0,
        stop: Stop::No,
    };
    let (seed, threads) = (spec.seed, spec.threads);
    let parameters = spec.parameters.clone();
    session.header.place = match threads {
        0 => "local".to_owned(),
        1 => "local · 1 thread".to_owned(),
        n => format!("local · {n} threads"),
    };
    let (control, ended) = session.drive(spec)?;
    drop(control);
    session.progress.clear();
    let info = RunInfo { title: args.title.clone(), seed, parameters, ..RunInfo::default() };
    session.conclude(global, &args, info, ended)
}

fn shard_spec(args: &Args) -> anyhow::Result<ShardSpec> {
    let max_duration_us =
        args.max_duration.map(|limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX));
    let Args { threads, processes, .. } = *args;
    Ok(ShardSpec { threads, processes, max_duration_us, ..args.simulation.spec()? })
}

/// A run and what is known of it so far.
struct Session {
    path: PathBuf,
    /// Made when the simulation has been loaded: a script that does not compile leaves no folder.
    folder: Option<Folder>,
    progress: Progress,
    header: Header,
    aggregate: Aggregate,
    plan: Option<Plan>,
    started_unix_ms: u64,
    /// By the monotonic clock.
    started_us: i64,
    stop: Stop,
}

/// What signals have asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// Users end their action.
    Graceful,
    /// Users are ended; the process ends with this code, once what was measured is in a report. An
    /// engine that has not answered by then has nothing more to say.
    AtOnce {
        exit: Exit,
        until: Instant,
    },
}

type Ended = Option<Result<EndReason, Problem>>;

impl Session {
    /// Runs the engine on a thread of its own until it has ended.
    fn drive(&mut self, spec: ShardSpec) -> anyhow::Result<(mpsc::Sender<Control>, Ended)> {
        let (sender, messages) = mpsc::sync_channel(EVENTS_MAX);
        let (control, orders) = mpsc::channel();
        watch_signals(sender.clone())?;
        let engine = std::thread::Builder::new().name("engine".to_owned());
        engine.spawn(move || {
            // Says that the engine has ended even when it panics.
            let mut guard = Guard { sender: sender.clone(), ended: None };
            let mut hand_on = |event| drop(sender.send(Message::Engine(event)));
            guard.ended = Some(engine::run_local(&spec, &orders, &mut hand_on));
        })?;
        loop {
            let message = match self.stop {
                Stop::AtOnce { until, .. } => {
                    messages.recv_timeout(until.saturating_duration_since(Instant::now()))
                }
                _ => messages.recv().map_err(RecvTimeoutError::from),
            };
            match message {
                Ok(Message::Engine(event)) => self.on_event(event)?,
                Ok(Message::Ended(ended)) => return Ok((control, ended)),
                Ok(Message::Signal(hard)) => self.on_signal(hard, &control),
                Err(RecvTimeoutError::Timeout) => return Ok((control, Some(Ok(interrupted())))),
                Err(RecvTimeoutError::Disconnected) => return Ok((control, None)),
            }
        }
    }

    fn on_event(&mut self, event: engine::Event) -> anyhow::Result<()> {
        match event {
            engine::Event::Ready(plan) => {
                if self.header.title.is_empty() {
                    self.header.title.clone_from(&plan.simulation);
                }
                let limit = plan.max_duration_us.unwrap_or(u64::MAX);
                let planned_us = plan.injection_us.min(limit);
                self.header.planned_s = Some(planned_us.div_ceil(1_000_000));
                "running".clone_into(&mut self.header.state);
                self.started_unix_ms = clock::unix_us() / 1_000;
                self.started_us = clock::boot_us();
                self.folder = Some(Folder::create(&self.path)?);
                self.plan = Some(plan);
            }
            engine::Event::Output { stream, line } => {
                if let Some(folder) = &mut self.folder {
                    folder.output(stream, &line)?;
                }
                let mark = if stream == OutputStream::Stderr { "script error: " } else { "" };
                self.progress.say(&format!("{mark}{line}"));
            }
            engine::Event::Alive | engine::Event::Yielded(_) | engine::Event::Load(_) => {}
            engine::Event::Surplus(_) | engine::Event::HeldBack(_) => {}
            engine::Event::Frame(frame) => {
                self.aggregate.apply_frames([*frame]);
                let view = self.aggregate.live();
                self.progress.update(&self.header, &view);
                if let Some(folder) = &mut self.folder {
                    folder.second(&view)?;
                }
            }
        }
        Ok(())
    }

    fn on_signal(&mut self, hard: Exit, control: &mpsc::Sender<Control>) {
        "stopping".clone_into(&mut self.header.state);
        let graceful = self.stop == Stop::No;
        self.stop = if graceful {
            self.progress.say("stopping: users in flight end their action; once more ends them");
            Stop::Graceful
        } else {
            self.progress.say("ending: what was measured is reported; once more, and it is not");
            // A simulation that is still loaded has measured nothing.
            let wait = if self.plan.is_some() { ANSWER_LIMIT } else { Duration::ZERO };
            Stop::AtOnce { exit: hard, until: Instant::now() + wait }
        };
        // A receiver that is gone has ended already.
        let _ = control.send(Control::Stop { graceful, reason: INTERRUPTED.to_owned() });
    }

    fn conclude(
        self,
        global: &Global,
        args: &Args,
        info: RunInfo,
        ended: Ended,
    ) -> anyhow::Result<ExitCode> {
        let (status, end_reason, problem) = match ended {
            None => ("failed", "the engine crashed".to_owned(), Some(panicked())),
            Some(Err(problem)) => ("failed", problem.message.clone(), Some(problem)),
            Some(Ok(EndReason::Completed)) => ("finished", String::new(), None),
            Some(Ok(EndReason::MaxDuration)) => {
                ("finished", "the maximum duration was reached".to_owned(), None)
            }
            Some(Ok(EndReason::StoppedByScript(why))) => ("finished", why, None),
            Some(Ok(EndReason::Stopped(why))) => ("aborted", why, None),
            Some(Ok(EndReason::LeaseExpired)) => ("aborted", "its lease ran out".to_owned(), None),
        };
        if let Some(problem) = &problem {
            print_problem(problem);
        }
        let (Some(plan), Some(folder)) = (self.plan, self.folder) else {
            let exit = problem.map_or(Exit::Internal, |problem| exit_of(problem.kind));
            return Ok(self.stop.exit().unwrap_or(exit).into());
        };
        let assertions: Vec<AssertionSpec> = serde_json::from_value(plan.assertions)?;
        let took_us = u64::try_from(clock::boot_us() - self.started_us).unwrap_or(0);
        let run = RunInfo {
            simulation: plan.simulation,
            started_unix_ms: self.started_unix_ms,
            ended_unix_ms: self.started_unix_ms.saturating_add(took_us / 1_000),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            nodes: 1,
            end_reason,
            ..info
        };
        let summary = self.aggregate.summary(Context {
            run,
            status: status.to_owned(),
            assertions: &assertions,
            judge: status == "finished",
            ..Context::default()
        });
        let (index, json) = (folder.report(), folder.summary());
        folder.finish(&summary)?;
        results::write_reports(&args.report, &summary)?;
        // A terminal that has hung up reads no more.
        print_summary(global, &summary).or_else(|error| match self.stop {
            Stop::No => Err(error),
            _ => Ok(()),
        })?;
        tell(format!(" report   {}", index.display()));
        tell(format!(" summary  {}", json.display()));
        let exit = problem.map_or_else(
            || verdict_exit(&summary, self.stop != Stop::No, args.exit_zero),
            |problem| exit_of(problem.kind),
        );
        Ok(self.stop.exit().unwrap_or(exit).into())
    }
}

impl Stop {
    /// The code that a second signal asked for.
    fn exit(self) -> Option<Exit> {
        match self {
            Self::AtOnce { exit, .. } => Some(exit),
            Self::No | Self::Graceful => None,
        }
    }
}

fn interrupted() -> EndReason {
    EndReason::Stopped(INTERRUPTED.to_owned())
}

struct Guard {
    sender: SyncSender<Message>,
    ended: Ended,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Ended(self.ended.take()));
    }
}

/// Hands the first two of SIGINT, SIGTERM and SIGHUP on; the third ends the process.
fn watch_signals(sender: SyncSender<Message>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _inside = runtime.enter();
        let (interrupt, terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        (interrupt, terminate, signal(SignalKind::hangup())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            for count in 1_u32.. {
                let hard = tokio::select! {
                    _ = interrupt.recv() => Exit::Interrupted,
                    _ = terminate.recv() => Exit::Terminated,
                    // The terminal is gone: that is how it asks to end.
                    _ = hang_up.recv() => Exit::Terminated,
                };
                if count > 2 {
                    tell("onrush: ended at once; no report");
                    std::process::exit(hard as i32);
                }
                // Who listened is at its report.
                let _ = sender.send(Message::Signal(hard));
            }
        });
    })?;
    Ok(())
}

fn panicked() -> Problem {
    Problem {
        kind: ProblemKind::Internal,
        message: "the engine crashed: this is a bug of Onrush".to_owned(),
        file: None,
        line: None,
        column: None,
        excerpt: None,
    }
}

fn verdict_exit(summary: &Summary, interrupted: bool, exit_zero: bool) -> Exit {
    match summary.verdict.value {
        _ if interrupted || summary.status == "aborted" => Exit::Aborted,
        _ if exit_zero => Exit::Ok,
        VerdictValue::Passed | VerdictValue::None => Exit::Ok,
        VerdictValue::Failed => Exit::AssertionsFailed,
        VerdictValue::Inconclusive => Exit::Inconclusive,
    }
}

fn print_summary(global: &Global, summary: &Summary) -> anyhow::Result<()> {
    if global.is_json() {
        return say(report::json(summary).trim_end());
    }
    let mut stdout = std::io::stdout();
    let paint = colour(&stdout);
    for line in report::text(summary).lines() {
        let code = match line.trim_start() {
            text if text.starts_with('✓') || text.starts_with("VERDICT PASSED") => "32",
            text if text.starts_with('✗') || text.starts_with("VERDICT FAILED") => "31",
            text if text.starts_with("VERDICT INCON") || text.starts_with("ABORTED") => "33",
            text if text.starts_with("RESULTS") || text.starts_with("ERRORS") => "1",
            _ => "",
        };
        if paint && !code.is_empty() {
            writeln!(stdout, "\x1b[{code}m{line}\x1b[0m")?;
        } else {
            writeln!(stdout, "{line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use onrush_scenario::stats::summary::Verdict;

    use super::*;

    #[test]
    fn durations_are_read() {
        let good = [
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
        ];
        for (text, ms) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5", "1.5s", "5 m", "9999999999999999999s", "0s", "3x"] {
            assert_eq!(duration(text).is_err(), text != "5", "{text}");
        }
    }

    #[test]
    fn the_verdict_decides_the_exit_code() {
        let exit = |value, interrupted, zero| {
            let verdict = Verdict { value, reason: String::new() };
            verdict_exit(&Summary { verdict, ..Summary::default() }, interrupted, zero)
        };
        assert_eq!(exit(VerdictValue::Passed, false, false), Exit::Ok);
        assert_eq!(exit(VerdictValue::None, false, false), Exit::Ok);
        assert_eq!(exit(VerdictValue::Failed, false, false), Exit::AssertionsFailed);
        assert_eq!(exit(VerdictValue::Inconclusive, false, false), Exit::Inconclusive);
        assert_eq!(exit(VerdictValue::Failed, false, true), Exit::Ok);
        assert_eq!(exit(VerdictValue::Failed, true, true), Exit::Aborted);
    }
}
