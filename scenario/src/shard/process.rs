//! The child process of one shard: spec on stdin, frames on stdout. It dies with its parent, and a
//! closed stdin stops it at once. ✖ IO.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::pipe::{read_to_shard, write_frame, write_from_shard};
use super::{FromShard, Problem, ProblemKind, ShardSpec, ToShard};
use crate::engine::{self, Control, Event};

/// Orders that may wait for the engine.
const ORDERS_MAX: usize = 64;

/// The whole life of a shard process. Whatever happens is said on stdout, last `Finished` or
/// `Failed`; the exit code is 0 when that could be said, and 70 otherwise.
#[must_use]
pub fn main() -> ExitCode {
    if !tie_to_parent() {
        return ExitCode::from(70);
    }
    // Not a lock: the reader's thread may still hold it when this process ends.
    let (orders, spec) = listen(BufReader::new(io::stdin()));
    let mut out = BufWriter::new(io::stdout().lock());
    match spec.recv() {
        Ok(Ok(spec)) => converse(&spec, &orders, &mut out),
        Ok(Err(message)) => say(&mut out, &FromShard::Failed(internal(message))),
        // The parent closed the pipe before it said anything.
        Err(_) => ExitCode::SUCCESS,
    }
}

/// False when the parent has died in the meantime.
fn tie_to_parent() -> bool {
    let parent = getppid();
    // A kernel that refuses leaves the closed stdin to tell of the parent's death.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    getppid() == parent
}

fn internal(message: String) -> Problem {
    let kind = ProblemKind::Internal;
    Problem { kind, message, file: None, line: None, column: None, excerpt: None }
}

/// Reads orders on a thread of their own; the channel closes with the pipe.
fn listen(
    mut from: impl Read + Send + 'static,
) -> (Receiver<Control>, Receiver<Result<Box<ShardSpec>, String>>) {
    let (to_engine, orders) = mpsc::sync_channel(ORDERS_MAX);
    let (to_main, spec) = mpsc::sync_channel(1);
    thread::spawn(move || {
        match read_to_shard(&mut from) {
            Ok(Some(ToShard::Spec(it))) => {
                if to_main.send(Ok(it)).is_err() {
                    return;
                }
            }
            Ok(Some(_)) => {
                let _ = to_main.send(Err("the first message must be the spec".to_owned()));
                return;
            }
            Ok(None) => return,
            Err(error) => {
                let _ = to_main.send(Err(error.to_string()));
                return;
            }
        }
        forward(&mut from, &to_engine);
    });
    (orders, spec)
}

fn forward(from: &mut impl Read, to_engine: &SyncSender<Control>) {
    // An unreadable order means that the parent is out of step: as good as gone.
    while let Ok(Some(message)) = read_to_shard(from) {
        let control = match message {
            ToShard::Spec(_) => continue,
            ToShard::Start { at_boot_us, clock_error_us, take_over } => {
                Control::Start { at_boot_us, clock_error_us, take_over }
            }
            ToShard::Committed { second } => Control::Committed { second },
            ToShard::Yield { to, epoch, segments, at_us } => {
                Control::Yield { to, epoch, segments, at_us }
            }
            ToShard::Load { changes } => Control::Load { changes },
            ToShard::HoldBack { users, of } => Control::HoldBack { users, of },
            ToShard::Lease { until_boot_us } => Control::Lease { until_boot_us },
            ToShard::Stop { graceful, reason } => Control::Stop { graceful, reason },
        };
        if to_engine.send(control).is_err() {
            return;
        }
    }
}

fn converse(spec: &ShardSpec, orders: &Receiver<Control>, out: &mut impl Write) -> ExitCode {
    let mut broken = false;
    let outcome = engine::run(spec, orders, &mut |event| {
        let said = match event {
            Event::Ready(plan) => write_from_shard(out, &FromShard::Ready(plan)),
            Event::Output { stream, line } => {
                write_from_shard(out, &FromShard::Output { stream, line })
            }
            Event::Yielded(yielded) => write_from_shard(out, &FromShard::Yielded(yielded)),
            Event::Surplus(surplus) => write_from_shard(out, &FromShard::Surplus(surplus)),
            Event::HeldBack(users) => write_from_shard(out, &FromShard::HeldBack { users }),
            Event::Load(heard) => write_from_shard(out, &FromShard::Load(heard)),
            Event::Alive => write_from_shard(out, &FromShard::Alive),
            Event::Frame(frame) => write_frame(out, &frame),
        };
        // The parent is gone; its closed stdin ends the run.
        broken |= said.is_err();
    });
    if broken {
        return ExitCode::from(70);
    }
    match outcome {
        Ok(reason) => say(out, &FromShard::Finished { reason }),
        Err(problem) => say(out, &FromShard::Failed(problem)),
    }
}

fn say(out: &mut impl Write, message: &FromShard) -> ExitCode {
    match write_from_shard(out, message) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(70),
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
