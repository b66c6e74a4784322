//! The structural steps of a scenario, one slice a file: the JSON, how it compiles to operations,
//! and how a virtual user runs them. This file assembles the two enums.
//! JSON: `{"step": "pause", …}`. Bodies are lists of steps.

use serde::{Deserialize, Serialize};

use crate::ir::ActionSpec;
use crate::program::{Compiler, Error};
use crate::vu::{Ctx, Flow, Vu};

mod action;
pub(crate) mod cast;
mod counter;
mod do_if;
mod dummy;
mod exit;
mod feed;
mod foreach;
mod group;
mod hook;
pub(crate) mod looping;
mod pace;
mod pause;
mod random_switch;
mod rendez_vous;
mod repeat;
mod set_in_session;
mod shared_queue;
mod stop;
mod switch;
mod try_max;

pub use counter::Counter;
pub use do_if::{DoIf, DoIfEquals};
pub use dummy::Dummy;
pub use exit::ExitHereIf;
pub use feed::Feed;
pub use foreach::Foreach;
pub use group::Group;
pub use hook::Hook;
pub use looping::Loop;
pub use pace::Pace;
pub use pause::{Pause, PauseKind};
pub use random_switch::{RandomSwitch, RoundRobinSwitch, UniformRandomSwitch, WeightedCase};
pub use rendez_vous::RendezVous;
pub use repeat::Repeat;
pub use set_in_session::SetInSession;
pub use shared_queue::{QueueAction, SharedQueue};
pub use stop::{CrashLoadGenerator, StopLoadGenerator};
pub use switch::{DoSwitch, SwitchCase};
pub use try_max::TryMax;

pub(crate) use dummy::finish as finish_dummy;
pub(crate) use looping::LoopHead;
pub(crate) use try_max::TryEnter;

/// One step. Gatling: <https://docs.gatling.io/concepts/scenario/>.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A protocol's action: `exec(http("x").get("/"))`.
    Action(ActionSpec),
    Hook(Hook),
    Pause(Pause),
    Pace(Pace),
    RendezVous(RendezVous),
    Feed(Feed),
    Group(Group),
    Repeat(Repeat),
    Foreach(Foreach),
    Loop(Loop),
    DoIf(DoIf),
    DoIfEquals(DoIfEquals),
    DoSwitch(DoSwitch),
    RandomSwitch(RandomSwitch),
    UniformRandomSwitch(UniformRandomSwitch),
    RoundRobinSwitch(RoundRobinSwitch),
    TryMax(TryMax),
    ExitHereIfFailed,
    ExitHere,
    ExitHereIf(ExitHereIf),
    StopLoadGenerator(StopLoadGenerator),
    CrashLoadGenerator(CrashLoadGenerator),
    SetInSession(SetInSession),
    Dummy(Dummy),
    Counter(Counter),
    SharedQueue(SharedQueue),
}

impl Step {
    pub(crate) fn compile(&self, compiler: &mut Compiler<'_>) -> Result<(), Error> {
        match self {
            Self::Action(step) => action::compile(step, compiler),
            Self::Hook(step) => step.compile(compiler),
            Self::Pause(step) => step.compile(compiler),
            Self::Pace(step) => step.compile(compiler),
            Self::RendezVous(step) => step.compile(compiler),
            Self::Feed(step) => step.compile(compiler),
            Self::Group(step) => step.compile(compiler),
            Self::Repeat(step) => step.compile(compiler),
            Self::Foreach(step) => step.compile(compiler),
            Self::Loop(step) => step.compile(compiler),
            Self::DoIf(step) => step.compile(compiler),
            Self::DoIfEquals(step) => step.compile(compiler),
            Self::DoSwitch(step) => step.compile(compiler),
            Self::RandomSwitch(step) => step.compile(compiler),
            Self::UniformRandomSwitch(step) => step.compile(compiler),
            Self::RoundRobinSwitch(step) => step.compile(compiler),
            Self::TryMax(step) => step.compile(compiler),
            Self::ExitHereIfFailed => exit::compile_if_failed(compiler),
            Self::ExitHere => exit::compile_always(compiler),
            Self::ExitHereIf(step) => step.compile(compiler),
            Self::StopLoadGenerator(step) => step.compile(compiler),
            Self::CrashLoadGenerator(step) => step.compile(compiler),
            Self::SetInSession(step) => step.compile(compiler),
            Self::Dummy(step) => step.compile(compiler),
            Self::Counter(step) => step.compile(compiler),
            Self::SharedQueue(step) => step.compile(compiler),
        }
    }
}

/// One operation of the flat program; jump targets are indices into [`crate::program::Program::ops`].
#[derive(Debug)]
pub(crate) enum Op {
    Action { action: u32 },
    Hook(hook::HookOp),
    Pause(pause::PauseOp),
    Pace(pace::PaceOp),
    RendezVous(rendez_vous::RendezVousOp),
    Feed(feed::FeedOp),
    GroupEnter(group::GroupEnter),
    GroupExit,
    LoopHead(LoopHead),
    Jump(u32),
    Branch(do_if::Branch),
    BranchEquals(do_if::BranchEquals),
    Switch(switch::SwitchOp),
    Random(random_switch::RandomOp),
    RoundRobin(random_switch::RoundRobinOp),
    TryEnter(TryEnter),
    TryExit,
    Exit(exit::ExitOp),
    Stop(stop::StopOp),
    Set(set_in_session::SetOp),
    Dummy(dummy::DummyOp),
    Counter(counter::CounterOp),
    Queue(shared_queue::QueueOp),
    End,
}

impl Op {
    pub(crate) fn run(&self, vu: &mut Vu, ctx: &mut Ctx<'_>) -> Flow {
        match self {
            Self::Action { action } => action::run(*action),
            Self::Hook(op) => op.run(vu, ctx),
            Self::Pause(op) => op.run(vu, ctx),
            Self::Pace(op) => op.run(vu, ctx),
            Self::RendezVous(op) => op.run(),
            Self::Feed(op) => op.run(vu, ctx),
            Self::GroupEnter(op) => op.run(vu, ctx),
            Self::GroupExit => group::leave(vu, ctx),
            Self::LoopHead(op) => op.run(vu, ctx),
            Self::Jump(target) => Flow::Jump(*target),
            Self::Branch(op) => op.run(vu, ctx),
            Self::BranchEquals(op) => op.run(vu, ctx),
            Self::Switch(op) => op.run(vu, ctx),
            Self::Random(op) => op.run(ctx),
            Self::RoundRobin(op) => op.run(ctx),
            Self::TryEnter(op) => op.run(vu),
            Self::TryExit => try_max::succeed(vu, ctx),
            Self::Exit(op) => op.run(vu, ctx),
            Self::Stop(op) => op.run(vu, ctx),
            Self::Set(op) => op.run(vu, ctx),
            Self::Dummy(op) => op.run(vu, ctx),
            Self::Counter(op) => op.run(vu, ctx),
            Self::Queue(op) => op.run(vu, ctx),
            Self::End => Flow::End,
        }
    }

    /// Whether the conditions of the `exitASAP` loops around it are looked at first. A plain
    /// `exec(fn)` is not among them.
    pub(crate) fn is_exitable(&self) -> bool {
        !matches!(
            self,
            Self::Hook(_)
                | Self::Set(_)
                | Self::Counter(_)
                | Self::Jump(_)
                | Self::GroupExit
                | Self::TryExit
                | Self::Exit(_)
                | Self::End
        )
    }

    /// Whether a failure inside `tryMax` lets this operation run before the block is left:
    /// `exitHereIfFailed` inside `tryMax` ends the user.
    pub(crate) fn runs_when_failed(&self) -> bool {
        matches!(self, Self::Exit(_))
    }
}
