//! The processes of a divided shard: started, spoken to, listened to. ✖ IO.
//!
//! Their conversation is that between a node and its shards ([`crate::shard`]); each dies with this
//! process, because it asks the kernel to and because its stdin closes.

use std::fs;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

use super::super::surplus::{Processes, Words, without};
use super::super::{Control, Event, clock};
use super::combine::Combiner;
use super::handovers::Handovers;
use super::{part_name, specs};
use crate::engine::coordinator::GIVE_AHEAD_US;
use crate::engine::shared::problem;
use crate::inject::division::Segments;
use crate::shard::pipe::{Sent, read_from_shard, write_to_shard};
use crate::shard::{
    EndReason, FromShard, LoadHeard, Plan, Problem, ProblemKind, SHARD_COMMAND, ShardSpec, ToShard,
};

/// The owner's wishes are looked at this often.
const TURN: Duration = Duration::from_millis(10);
/// What the processes said and nobody has heard yet.
const SAID_MAX: usize = 256;
/// From the decision to start to the start: the processes must have heard of it.
const START_AHEAD_US: i64 = 50_000;

/// What one process said; none: it says no more.
type Said = (usize, Option<Sent>);

struct Crew<'a> {
    members: Vec<Member>,
    said: Receiver<Said>,
    combiner: Combiner,
    /// Of the load, that all processes follow and the owner was told of.
    load_changes: u32,
    handovers: Handovers,
    /// Users that the processes still have of segments that were given away, and what was said.
    surplus: Processes,
    words: Words,
    /// The shard's segments, and what it holds back, once it was told.
    segments: Vec<u32>,
    held_back: Option<Vec<u64>>,
    /// The common start, by [`clock::boot_us`].
    started: Option<i64>,
    /// The first that is not [`EndReason::Completed`], or a failure.
    end: Result<EndReason, Problem>,
    on_event: &'a mut dyn FnMut(Event),
}

struct Member {
    child: Child,
    /// What it held at its start.
    segments: Vec<u32>,
    /// How far its records are reserved, as far as its frames go.
    reserved: Vec<u64>,
    /// None: it does not listen any more.
    to: Option<ChildStdin>,
    ready: Option<Plan>,
    /// It has said so since the shard last did.
    alive: bool,
    /// What it last said of the load.
    load: LoadHeard,
    /// It has said how it ended.
    ended: bool,
    /// Nothing more will come of it.
    silent: bool,
}

/// As [`crate::engine::run`] and, when `local`, [`crate::engine::run_local`], in `processes`
/// processes with `threads` threads in all.
///
/// # Errors
/// As those.
pub(in crate::engine) fn run(
    spec: &ShardSpec,
    segments: &Segments,
    (processes, threads): (u32, u32),
    control: &Receiver<Control>,
    on_event: &mut dyn FnMut(Event),
    local: bool,
) -> Result<EndReason, Problem> {
    let parts = specs(spec, segments, processes, threads);
    let (say, said) = mpsc::sync_channel(SAID_MAX);
    let members = parts
        .iter()
        .enumerate()
        .map(|(index, part)| start(index, part, &say))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|error| internal(format!("cannot start a process of the shard: {error}")))?;
    drop(say);
    let combiner = Combiner::new(members.len());
    let end = Ok(EndReason::Completed);
    let mut crew = Crew {
        members,
        said,
        combiner,
        load_changes: 0,
        handovers: Handovers::default(),
        surplus: Processes::default(),
        words: Words::default(),
        segments: spec.segments.clone(),
        held_back: None,
        started: None,
        end,
        on_event,
    };
    let outcome = crew.through(control, local);
    // Dropping a member ends its process.
    drop(crew);
    if let Some(folder) = &spec.record_arrivals {
        join_arrivals(folder, processes)
            .map_err(|error| internal(format!("cannot write arrivals.csv: {error}")))?;
    }
    outcome
}

fn internal(message: String) -> Problem {
    problem(ProblemKind::Internal, message)
}

fn start(index: usize, spec: &ShardSpec, say: &SyncSender<Said>) -> std::io::Result<Member> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(SHARD_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (to, from) = (child.stdin.take(), child.stdout.take());
    let mut member = Member {
        child,
        segments: spec.segments.clone(),
        reserved: Vec::new(),
        to,
        ready: None,
        alive: false,
        load: LoadHeard::default(),
        ended: false,
        silent: false,
    };
    member.tell(&ToShard::Spec(Box::new(spec.clone())));
    let say = say.clone();
    thread::Builder::new().name(part_name(u32::try_from(index).unwrap_or(0))).spawn(move || {
        let Some(from) = from else { return };
        let mut from = BufReader::new(from);
        // What cannot be read is the end of the conversation: it is missed, and told so.
        while let Ok(Some(sent)) = read_from_shard(&mut from) {
            if say.send((index, Some(sent))).is_err() {
                return;
            }
        }
        let _ = say.send((index, None));
    })?;
    Ok(member)
}

impl Member {
    /// One that does not listen will be missed when it says no more.
    fn tell(&mut self, message: &ToShard) {
        if let Some(to) = &mut self.to
            && write_to_shard(to, message).is_err()
        {
            self.to = None;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already; a process that was not waited for stays in the table.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Crew<'_> {
    fn through(&mut self, control: &Receiver<Control>, local: bool) -> Result<EndReason, Problem> {
        while self.members.iter().any(|it| it.ready.is_none()) {
            self.hear();
            if self.obey(control, local) {
                // Stopped before it began.
                return self.end.clone();
            }
            self.end.clone()?;
        }
        let plan = self.agreed()?;
        (self.on_event)(Event::Ready(plan));
        if local {
            let at_boot_us = clock::boot_us() + START_AHEAD_US;
            self.started = Some(at_boot_us);
            self.tell_all(&ToShard::Start { at_boot_us, clock_error_us: 0, take_over: None });
        }
        while self.members.iter().any(|it| !it.silent) {
            self.hear();
            self.obey(control, local);
            self.tell_surplus();
        }
        self.end.clone()
    }

    /// The processes' plan, which must be one.
    fn agreed(&self) -> Result<Plan, Problem> {
        let mut plans = self.members.iter().filter_map(|it| it.ready.as_ref());
        let first = plans.next().ok_or_else(|| internal("a shard without a process".to_owned()))?;
        if plans.any(|plan| plan.plan_hash != first.plan_hash) {
            let message = "the processes of one shard made different plans of the simulation: it \
                           depends on something else than its files and parameters";
            return Err(problem(ProblemKind::Script, message.to_owned()));
        }
        Ok(first.clone())
    }

    /// Waits a little for what the processes say.
    fn hear(&mut self) {
        // Without a word, or without anybody who could say one: every reader says when it goes.
        let Ok((index, sent)) = self.said.recv_timeout(TURN) else { return };
        match sent {
            Some(Sent::Frame(frame)) => {
                if !frame.feeders.is_empty() {
                    let reserved = frame.feeders.iter().map(|it| it.reserved);
                    self.members[index].reserved = reserved.collect();
                }
                self.combiner.add(index, *frame);
            }
            Some(Sent::Message(FromShard::Ready(plan))) => self.members[index].ready = Some(plan),
            Some(Sent::Message(FromShard::Output { stream, line })) => {
                (self.on_event)(Event::Output { stream, line });
            }
            Some(Sent::Message(FromShard::Yielded(word))) => {
                self.handovers.heard(index, &word);
                self.handed_over();
            }
            Some(Sent::Message(FromShard::Surplus(word))) => self.surplus.heard(index, word),
            // The shard has said it for all of them.
            Some(Sent::Message(FromShard::HeldBack { .. })) => {}
            Some(Sent::Message(FromShard::Load(heard))) => {
                self.members[index].load = heard;
                self.load_heard();
            }
            Some(Sent::Message(FromShard::Alive)) => self.alive(index),
            Some(Sent::Message(FromShard::Finished { reason })) => self.ended(index, Ok(reason)),
            Some(Sent::Message(FromShard::Failed(problem))) => self.ended(index, Err(problem)),
            None => self.silent(index),
        }
        while let Some(frame) = self.combiner.take() {
            (self.on_event)(Event::Frame(Box::new(frame)));
        }
    }

    /// The shard is as alive as each of its processes: one that hangs holds the frames up.
    fn alive(&mut self, index: usize) {
        self.members[index].alive = true;
        if self.members.iter().all(|it| it.alive || it.ended) {
            self.members.iter_mut().for_each(|it| it.alive = false);
            (self.on_event)(Event::Alive);
        }
    }

    /// The shard follows what each of its processes does, or did until it ended.
    fn load_heard(&mut self) {
        let live = || self.members.iter().filter(|it| !it.ended).map(|it| it.load);
        let changes = live().map(|it| it.changes).min().unwrap_or(0);
        if changes > self.load_changes {
            self.load_changes = changes;
            let late_us = live().map(|it| it.late_us).max().unwrap_or(0);
            (self.on_event)(Event::Load(LoadHeard { changes, late_us }));
        }
    }

    /// Segments go to another shard: each process that holds some of them is told, with a moment that
    /// is the same for all.
    fn give_away(&mut self, (to, epoch): (u32, u64), segments: &[u32]) {
        let plan = self.members.iter().find_map(|it| it.ready.as_ref());
        // Populations that follow on others begin with each process by itself: no moment is that of
        // the shard. It keeps what it has.
        let Some(started) = self.started.filter(|_| plan.is_some_and(|it| it.stages == 0)) else {
            return;
        };
        let now = u64::try_from(clock::boot_us() - started).unwrap_or(0);
        let at_us = now + GIVE_AHEAD_US;
        let mut of = Vec::new();
        // Ahead of the moment: of fewer segments, the processes hold back no less.
        self.segments = without(&self.segments, segments);
        if let Some(users) = self.held_back.clone() {
            self.hold_back(users);
        }
        for (index, member) in self.members.iter_mut().enumerate() {
            let held = member.segments.iter().copied();
            let segments: Vec<u32> = held.filter(|it| segments.contains(it)).collect();
            if !segments.is_empty() {
                of.push(index);
                member.tell(&ToShard::Yield { to, epoch, segments, at_us: Some(at_us) });
            }
        }
        self.surplus.asked(to, of.iter().copied());
        self.handovers.asked(to, at_us, of.into_iter());
        for (index, member) in self.members.iter().enumerate().filter(|(_, it)| it.ended) {
            self.handovers.ended(index, &member.reserved);
            self.surplus.ended(index);
        }
        self.handed_over();
    }

    fn hold_back(&mut self, users: Vec<u64>) {
        self.held_back = Some(users.clone());
        self.tell_all(&ToShard::HoldBack { users, of: self.segments.clone() });
    }

    fn tell_surplus(&mut self) {
        let Some(started) = self.started else { return };
        let now = u64::try_from(clock::boot_us() - started).unwrap_or(0);
        for (to, users) in self.surplus.sums() {
            if let Some(word) = self.words.next(to, users, now) {
                (self.on_event)(Event::Surplus(word));
            }
        }
    }

    fn handed_over(&mut self) {
        while let Some(word) = self.handovers.take() {
            (self.on_event)(Event::Yielded(word));
        }
    }

    /// What ends one process before its time ends the shard.
    fn ended(&mut self, index: usize, end: Result<EndReason, Problem>) {
        self.members[index].ended = true;
        self.load_heard();
        self.handovers.ended(index, &self.members[index].reserved);
        self.surplus.ended(index);
        self.handed_over();
        let reason = match &end {
            Ok(EndReason::Completed | EndReason::MaxDuration | EndReason::LeaseExpired) => None,
            Ok(EndReason::StoppedByScript(why) | EndReason::Stopped(why)) => Some(why.clone()),
            Err(problem) => Some(problem.message.clone()),
        };
        if self.end == Ok(EndReason::Completed) {
            self.end = end;
            if let Some(reason) = reason {
                self.tell_all(&ToShard::Stop { graceful: false, reason });
            }
        }
    }

    fn silent(&mut self, index: usize) {
        self.combiner.ended(index);
        let member = &mut self.members[index];
        member.silent = true;
        if !member.ended {
            // It may have closed its output only.
            let _ = member.child.kill();
            let how = member.child.wait().map_or_else(|it| it.to_string(), |it| it.to_string());
            let message = format!("a process of the shard ended before its work was done ({how})");
            self.ended(index, Err(internal(message)));
        }
    }

    fn tell_all(&mut self, message: &ToShard) {
        self.members.iter_mut().for_each(|it| it.tell(message));
    }

    /// True when it was told to stop.
    fn obey(&mut self, control: &Receiver<Control>, local: bool) -> bool {
        loop {
            let message = match control.try_recv() {
                Ok(Control::Start { at_boot_us, clock_error_us, take_over }) => {
                    self.started = Some(at_boot_us);
                    ToShard::Start { at_boot_us, clock_error_us, take_over }
                }
                Ok(Control::Committed { second }) => ToShard::Committed { second },
                Ok(Control::Yield { to, epoch, segments, .. }) => {
                    self.give_away((to, epoch), &segments);
                    continue;
                }
                Ok(Control::Load { changes }) => ToShard::Load { changes },
                Ok(Control::HoldBack { users, .. }) => {
                    self.hold_back(users.clone());
                    (self.on_event)(Event::HeldBack(users));
                    continue;
                }
                Ok(Control::Lease { until_boot_us }) => ToShard::Lease { until_boot_us },
                Ok(Control::Stop { graceful, reason }) => {
                    self.stop(graceful, reason);
                    return true;
                }
                Err(TryRecvError::Disconnected) if !local => {
                    self.stop(false, "the owner went away".to_owned());
                    return true;
                }
                Err(_) => return false,
            };
            self.tell_all(&message);
        }
    }

    fn stop(&mut self, graceful: bool, reason: String) {
        self.tell_all(&ToShard::Stop { graceful, reason: reason.clone() });
        if self.end == Ok(EndReason::Completed) {
            self.end = Ok(EndReason::Stopped(reason));
        }
    }
}

/// The processes' files as the one that the shard's owner asked for.
fn join_arrivals(folder: &Path, processes: u32) -> std::io::Result<()> {
    let mut whole = BufWriter::new(fs::File::create(folder.join("arrivals.csv"))?);
    for part in 0..processes {
        let own = folder.join(part_name(part));
        let text = match fs::read_to_string(own.join("arrivals.csv")) {
            Ok(text) => text,
            // One that failed while loading has none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let rows =
            if part == 0 { text.as_str() } else { text.split_once('\n').map_or("", |it| it.1) };
        whole.write_all(rows.as_bytes())?;
        fs::remove_dir_all(own)?;
    }
    whole.flush()
}
