//! The virtual user machine: where a user stands in its program, and what it does next.
//! Hot path: `engine/thread` → here → `step/*` → `protocol/*`.
//!
//! Pure: time, randomness, the script and everything shared come in through [`Ctx`]; a resumed user
//! runs until it must wait, act or end, and says so by its [`Output`]. It opens no socket, reads no
//! clock and keeps no task.

use std::sync::Arc;

use crate::expr::{EvalCtx, FnId};
use crate::program::Program;
use crate::session::Session;
use crate::step::{Op, finish_dummy};
use crate::time::Micros;
use crate::value::Value;

/// Operations run in one go; then other users get their turn, so that a loop without any waiting
/// cannot hold up the thread, and time moves on inside it.
const OPS_PER_RESUME_MAX: u32 = 500;

/// A record or number that is not reserved yet is asked for again after this time.
pub(crate) const ASK_AGAIN_US: Micros = 20_000;

/// Why a user does not get what its job's users share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// In a moment it may: the shard waits for its reservation to be committed.
    NotYet,
    /// Never: the shard has given its share away, and used what it kept for its last users.
    GivenAway,
    /// The text the run crashes with.
    Crash(String),
}

/// What a virtual user reaches beyond itself; the engine implements it, tests script it.
pub trait World {
    /// Puts the next record(s) of a feeder into the session.
    ///
    /// # Errors
    /// See [`Fault`].
    fn feed(
        &mut self,
        feeder: u32,
        count: Option<i64>,
        session: &mut Session,
        eval: &mut EvalCtx<'_>,
    ) -> Result<(), Fault>;
    /// 0, 1, 2 … over all users of the shard.
    fn round_robin(&mut self, slot: u32) -> u64;
    /// The next number, from 0, of a counter that the users of the whole job share.
    ///
    /// # Errors
    /// See [`Fault`].
    fn counter(&mut self, slot: u32) -> Result<u64, Fault>;
    /// # Errors
    /// The text the run crashes with when the queue is full.
    fn queue_put(&mut self, slot: u32, value: Value) -> Result<(), String>;
    /// The oldest value, if there is one.
    fn queue_poll(&mut self, slot: u32) -> Option<Value>;
    fn queue_size(&mut self, slot: u32) -> usize;
    fn group_left(&mut self, path: &[Arc<str>], ok: bool, duration: Micros, cumulated: Micros);
    /// A dummy was sent.
    fn sent(&mut self, groups: &[Arc<str>], name: &str);
    /// A dummy was answered; `failure` is the text of a KO.
    fn response(&mut self, groups: &[Arc<str>], name: &str, time: Micros, failure: Option<&str>);
    /// A request could not be built: a line of the errors table, not a request.
    fn unbuilt(&mut self, groups: &[Arc<str>], name: &str, message: &str);
    /// A line of the engine's own log.
    fn note(&mut self, line: &str);
}

/// What a resumed user may use.
pub struct Ctx<'a> {
    pub now: Micros,
    pub eval: EvalCtx<'a>,
    pub world: &'a mut dyn World,
}

/// Why a user is resumed.
#[derive(Debug)]
pub enum Input {
    /// It has just been started.
    Start,
    /// The time it asked for has come, or its rendez-vous has opened.
    Woke,
    Done(ActionDone),
}

/// What came of an action.
#[derive(Debug)]
pub struct ActionDone {
    /// With what the checks saved; its status is not looked at.
    pub session: Session,
    pub failed: bool,
    /// What the action adds to the cumulated response time of the open groups.
    pub response_time: Micros,
}

/// What the user needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Resume with [`Input::Woke`] at that time.
    Sleep(Micros),
    /// Carry out that action of the program; resume with [`Input::Done`].
    Act(u32),
    /// Resume with [`Input::Woke`] when that rendez-vous opens.
    RendezVous(u32),
    /// Resume with [`Input::Woke`] when that queue may have a value, or when the time is over.
    Queue {
        slot: u32,
        until: Micros,
    },
    Ended,
    /// `stopLoadGenerator`: the whole run ends normally.
    Stop(String),
    /// The whole run crashes.
    Crash(String),
}

/// How an operation ended.
#[derive(Debug)]
pub(crate) enum Flow {
    Next,
    Jump(u32),
    /// The next operation follows when the user is resumed.
    Out(Output),
    /// The same operation runs again when the user is resumed.
    Again(Output),
    End,
}

/// An open block, outermost first in [`Vu::blocks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Loop {
        head: u32,
        index: i64,
        started: Micros,
        /// The counter attribute was there before, and stays.
        foreign: bool,
    },
    Group {
        entered: Micros,
        cumulated: Micros,
        failed: bool,
    },
    Try {
        enter: u32,
        attempt: i64,
    },
}

/// What is done first when the user wakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Pace { key: Arc<str>, interval: Micros },
    Dummy { name: String, time: Micros, ok: bool, update: Option<FnId> },
    Take { slot: u32, until: Micros },
}

/// A virtual user between two actions: plain data.
#[derive(Clone, Debug)]
pub struct Vu {
    pub session: Session,
    pc: u32,
    pub(crate) blocks: Vec<Block>,
    /// Open `tryMax` blocks: where there are none, a failure changes nothing of the way.
    pub(crate) tries: u32,
    pub(crate) pending: Option<Pending>,
    paces: Vec<(Arc<str>, Micros)>,
    /// Counters of its own: how many values it has had.
    counters: Vec<(u32, u64)>,
}

impl Vu {
    /// `entry` is where the scenario begins in the program.
    #[must_use]
    pub fn new(session: Session, entry: u32) -> Self {
        Self {
            session,
            pc: entry,
            blocks: Vec::new(),
            tries: 0,
            pending: None,
            paces: Vec::new(),
            counters: Vec::new(),
        }
    }

    /// Runs until the user must wait, act or end. After `Ended`, `Stop` and `Crash` it must not be
    /// resumed again.
    pub fn resume(&mut self, program: &Program, input: Input, ctx: &mut Ctx<'_>) -> Output {
        match input {
            Input::Start => {}
            Input::Woke => self.finish_pending(ctx),
            Input::Done(done) => self.finish_action(done, ctx),
        }
        for _ in 0..OPS_PER_RESUME_MAX {
            let op = program.op(self.pc);
            if self.tries > 0 && self.session.is_failed() && !op.runs_when_failed() {
                self.retry_or_leave(program, ctx);
                continue;
            }
            if op.is_exitable() && self.leaves_a_loop(program, ctx) {
                continue;
            }
            match op.run(self, ctx) {
                Flow::Next => self.pc += 1,
                Flow::Jump(target) => self.pc = target,
                Flow::Out(output) => {
                    self.pc += 1;
                    return output;
                }
                Flow::Again(output) => return output,
                Flow::End => {
                    self.unwind_to(0, program, ctx);
                    return Output::Ended;
                }
            }
        }
        Output::Sleep(ctx.now)
    }

    fn finish_pending(&mut self, ctx: &mut Ctx<'_>) {
        match self.pending.take() {
            None => {}
            Some(Pending::Pace { key, interval }) => {
                self.set_pace_limit(&key, ctx.now.saturating_add(interval));
            }
            Some(Pending::Dummy { name, time, ok, update }) => {
                finish_dummy(&name, time, ok, update, self, ctx);
            }
            // The operation itself looks again.
            take @ Some(Pending::Take { .. }) => self.pending = take,
        }
    }

    fn finish_action(&mut self, done: ActionDone, ctx: &mut Ctx<'_>) {
        self.session = done.session;
        self.add_response_time(done.response_time);
        if done.failed {
            self.fail(ctx);
        }
    }

    /// Requests inside count for all groups around them.
    pub(crate) fn add_response_time(&mut self, time: Micros) {
        for block in &mut self.blocks {
            if let Block::Group { cumulated, .. } = block {
                *cumulated = cumulated.saturating_add(time);
            }
        }
    }

    /// Marks the session, and the groups inside the nearest `tryMax`, as failed.
    pub(crate) fn fail(&mut self, _ctx: &mut Ctx<'_>) {
        self.session.mark_as_failed();
        self.fail_groups();
    }

    pub(crate) fn fail_with(&mut self, ctx: &mut Ctx<'_>, what: &str, message: &str) {
        let scenario = &self.session.scenario;
        ctx.world.note(&format!("{scenario}: {what} failed: {message}"));
        self.fail(ctx);
    }

    fn fail_groups(&mut self) {
        for block in self.blocks.iter_mut().rev() {
            match block {
                Block::Group { failed, .. } => *failed = true,
                Block::Try { .. } => break,
                Block::Loop { .. } => {}
            }
        }
    }

    /// Takes what the script made of the session: attributes and status, nothing else.
    pub(crate) fn adopt(&mut self, session: Session) {
        let failed_again = session.failed_since(&self.session);
        let groups = std::mem::take(&mut self.session.groups);
        self.session = session;
        self.session.groups = groups;
        if failed_again {
            self.fail_groups();
        }
    }

    pub(crate) fn pace_limit(&self, key: &str) -> Option<Micros> {
        self.paces.iter().find(|(name, _)| &**name == key).map(|(_, limit)| *limit)
    }

    pub(crate) fn set_pace_limit(&mut self, key: &Arc<str>, limit: Micros) {
        match self.paces.iter_mut().find(|(name, _)| name == key) {
            Some((_, held)) => *held = limit,
            None => self.paces.push((Arc::clone(key), limit)),
        }
    }

    pub(crate) fn next_of_counter(&mut self, slot: u32) -> u64 {
        if let Some((_, had)) = self.counters.iter_mut().find(|(counter, _)| *counter == slot) {
            *had += 1;
            return *had - 1;
        }
        self.counters.push((slot, 1));
        0
    }

    /// The innermost `tryMax` failed: begin it again, or leave it and hand the failure outward.
    fn retry_or_leave(&mut self, program: &Program, ctx: &mut Ctx<'_>) {
        let innermost = self.blocks.iter().rposition(|block| matches!(block, Block::Try { .. }));
        let Some(position) = innermost else {
            self.tries = 0;
            return;
        };
        self.unwind_to(position + 1, program, ctx);
        let Some(Block::Try { enter, attempt }) = self.blocks.last().cloned() else { return };
        let Op::TryEnter(op) = program.op(enter) else { return };
        if op.allows_another(attempt, self, ctx) {
            self.session.mark_as_succeeded();
            if let Some(Block::Try { attempt, .. }) = self.blocks.last_mut() {
                *attempt += 1;
            }
            op.count(self, attempt + 1);
            self.pc = enter + 1;
        } else {
            self.unwind_to(position, program, ctx);
            self.fail(ctx);
            self.pc = op.exit;
        }
    }

    /// Before an exitable action: leaves the innermost `exitASAP` loop that no longer holds.
    fn leaves_a_loop(&mut self, program: &Program, ctx: &mut Ctx<'_>) -> bool {
        for position in (0..self.blocks.len()).rev() {
            let Block::Loop { head, index, started, .. } = self.blocks[position] else { continue };
            // At its own head the loop asks anyway.
            if head == self.pc {
                continue;
            }
            let Op::LoopHead(op) = program.op(head) else { continue };
            if op.exit_asap && !op.proceeds(index, started, self, ctx) {
                self.unwind_to(position, program, ctx);
                self.pc = op.exit;
                return true;
            }
        }
        false
    }

    /// Closes the blocks from the top down to `depth` of them.
    fn unwind_to(&mut self, depth: usize, program: &Program, ctx: &mut Ctx<'_>) {
        while self.blocks.len() > depth {
            let counter = match self.blocks.last() {
                Some(Block::Loop { head, foreign: false, .. }) => match program.op(*head) {
                    Op::LoopHead(op) => op.counter.clone(),
                    _ => None,
                },
                Some(Block::Try { enter, .. }) => match program.op(*enter) {
                    Op::TryEnter(op) => op.counter.clone(),
                    _ => None,
                },
                _ => None,
            };
            if let Some(name) = counter {
                self.session.remove(&name);
            }
            self.close_top(ctx);
        }
    }

    /// A loop is left: its own counter goes, one that was there before stays.
    pub(crate) fn close_top_loop(&mut self, counter: Option<&Arc<str>>) {
        if let Some(Block::Loop { foreign: false, .. }) = self.blocks.pop()
            && let Some(name) = counter
        {
            self.session.remove(name);
        }
    }

    /// Closes the top block; a group is counted.
    pub(crate) fn close_top(&mut self, ctx: &mut Ctx<'_>) {
        match self.blocks.pop() {
            Some(Block::Group { entered, cumulated, failed }) => {
                let duration = ctx.now.saturating_sub(entered);
                ctx.world.group_left(&self.session.groups, !failed, duration, cumulated);
                Arc::make_mut(&mut self.session.groups).pop();
            }
            Some(Block::Try { .. }) => self.tries = self.tries.saturating_sub(1),
            Some(Block::Loop { .. }) | None => {}
        }
    }
}

#[cfg(test)]
#[path = "vu_tests/mod.rs"]
mod tests;
