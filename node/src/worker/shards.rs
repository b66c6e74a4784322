//! How the actor treats one shard: launch, start, stop, discard, and what its child does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use onrush_api::backend::LogStream;
use onrush_raft::space;
use onrush_raft::types::ContentId;
use onrush_scenario::shard::{
    FromShard, LoadHeard, OutputStream, Problem, ProblemKind, ShardSpec, TakeOver, ToShard,
};
use tokio::sync::{Semaphore, mpsc};

use super::actor::{Actor, Event, LoadTurn, Run};
use super::book::Happening;
use super::child::{self, Child, ChildEvent};
use super::limits::{CLEAR_EVERY_US, LEASE_KILL_US, STOP_LIMIT_US};
use super::logs::RunLogs;
use super::outbox::Outbox;
use super::runs::Left;
use super::sender::{Damage, Spool};
use super::{Config, fetch, runs};
use crate::control_wire::{ClosedUsers, FromWorker, Phase, ShardKey, ShardOrder, ShardReport};

impl Actor {
    pub(super) fn launch(&mut self, order: ShardOrder) {
        let key = order.key.clone();
        self.left.retain(|left| left.key != key);
        match self.prepare_run(order) {
            Ok(run) => {
                let (events, repository) = (self.events.clone(), Arc::clone(&self.repository));
                let (config, folder) = (Arc::clone(&self.config), run.1.folder.join(runs::FILES));
                let (files, key_of_task) = (run.0, key.clone());
                let unhurried = run.1.spec.as_ref().is_some_and(|spec| spec.unhurried);
                let turns = unhurried.then(|| Arc::clone(&self.turns));
                self.runs.insert(key, run.1);
                tokio::spawn(async move {
                    let key = key_of_task;
                    let runs = config.runs.clone();
                    // Whether old folders stay or go changes nothing for this shard.
                    let _ = tokio::task::spawn_blocking(move || runs::prune(&runs)).await;
                    let child = match fetch::fetch(&repository, &files, &folder).await {
                        Ok(()) => bring_up(&config, &folder, &events, &key, turns).await,
                        Err(reason) => Err(reason),
                    };
                    // The actor may have stopped; then so does the child, with its stdin.
                    let _ = events.send(Event::Launched { key, child }).await;
                });
            }
            Err(reason) => {
                // What there was room for is nobody's: no run will be released.
                self.discard_files(&key);
                self.happened(&key, Happening::Unable(reason));
            }
        }
    }

    /// The run's folder, spool and logs, and the files that its shard needs.
    pub(super) fn prepare_run(
        &self,
        order: ShardOrder,
    ) -> Result<(BTreeMap<String, ContentId>, Run), String> {
        let folder = runs::folder(&self.config.runs, &order.key)?;
        let root = folder.join(runs::FILES);
        std::fs::create_dir_all(&root).map_err(|error| space::explain(&root, &error))?;
        let outbox = Outbox::open(&folder.join(runs::SPOOL)).map_err(|error| error.to_string())?;
        let logs = RunLogs::open(&folder);
        let logs =
            logs.map_err(|error| format!("its logs: {}", space::explain(&folder, &error)))?;
        let spec = ShardSpec {
            job: order.key.job.0,
            shard: order.key.shard,
            epoch: order.key.epoch,
            segments_total: order.segments_total,
            segments: order.segments,
            threads: 0,
            seed: order.seed,
            root,
            simulation: order.simulation,
            parameters: order.parameters,
            environment: order.environment,
            unix_ms: i64::try_from(order.submitted_at).ok(),
            record_arrivals: order.record_arrivals.then(|| folder.clone()),
            max_duration_us: order.max_duration_ms.map(|ms| ms.saturating_mul(1_000)),
            leased: true,
            takes_over: order.takes_over,
            unhurried: order.unhurried || (!order.takes_over && self.book.is_loading()),
            ..ShardSpec::default()
        };
        Ok((order.files, Run::new(folder, outbox, Some(logs), Some(Box::new(spec)))))
    }

    pub(super) fn launched(&mut self, key: &ShardKey, child: Result<(Child, LoadTurn), String>) {
        let wanted = self.book.report(key).is_some_and(|report| report.phase.is_live());
        match (child, self.runs.get_mut(key)) {
            (Ok((child, turn)), Some(run)) if wanted && run.kill_at.is_none() => {
                let limit = self.config.build_limit.as_micros();
                let limit = u64::try_from(limit).unwrap_or(u64::MAX);
                run.build_until = Some(self.clock.now_us().saturating_add(limit));
                if let Some(spec) = run.spec.take()
                    && let Err(reason) = child.tell(ToShard::Spec(spec))
                {
                    child.kill();
                    return self.happened(key, Happening::Unable(reason));
                }
                (run.child, run.turn) = (Some(child), turn);
            }
            (Ok((child, _)), run) => {
                let released = run.is_none();
                child.kill();
                self.happened(key, Happening::Exited("stopped before it was ready".to_owned()));
                if released {
                    self.discard_files(key);
                }
            }
            (Err(_), None) => self.discard_files(key),
            (Err(reason), Some(_)) => self.happened(key, Happening::Unable(reason)),
        }
    }

    /// Of a shard that was released while its files were on their way, or that had no room for them.
    fn discard_files(&mut self, key: &ShardKey) {
        // An id that is no folder's name has none.
        if let Ok(folder) = runs::folder(&self.config.runs, key) {
            self.leave(Left { key: key.clone(), folder, report: None });
        }
    }

    /// Removes what a shard does not need any more; what a disk refuses is tried again.
    fn leave(&mut self, left: Left) {
        if let Err(error) = left.clear() {
            tracing::warn!(key = %left.key, %error, "the run's folder stays for now");
            self.left.push(left);
        }
    }

    fn clear_what_is_left(&mut self) {
        let now = self.clock.now_us();
        if self.left.is_empty() || now < self.clear_again_us {
            return;
        }
        self.clear_again_us = now.saturating_add(CLEAR_EVERY_US);
        self.left.retain(|left| match left.clear() {
            Ok(()) => {
                tracing::info!(key = %left.key, "the run's folder is cleared");
                false
            }
            Err(_) => true,
        });
    }

    pub(super) fn start(&mut self, key: &ShardKey, master_us: i64, take_over: Option<TakeOver>) {
        // Without an exchange of clocks no start is obeyed.
        let Some(offset) = self.estimator.best() else { return };
        let start_us = offset.to_local(master_us);
        let at_boot_us = self.clock.to_boot_us(start_us);
        let clock_error_us = offset.round_trip / 2;
        let start = ToShard::Start { at_boot_us, clock_error_us, take_over };
        let lease = self.lease();
        let Some(run) = self.runs.get_mut(key) else { return };
        run.start_us = Some(start_us);
        let Some(child) = &run.child else { return };
        let told = child.tell(lease).and_then(|()| child.tell(start));
        if let Err(error) = told {
            tracing::warn!(%key, %error, "shard not started");
            child.kill();
        }
    }

    /// Frames up to `cursor` are committed: the spool may forget them, and what they reserved counts.
    pub(super) fn free(&mut self, key: &ShardKey, cursor: u64) {
        let Some(run) = self.runs.get_mut(key) else { return };
        if let Err(error) = run.outbox.free(cursor) {
            tracing::warn!(%key, %error, "spool not freed");
        }
        let second = run.second_of_0.and_then(|zero| zero.checked_add_unsigned(cursor));
        let second = second.and_then(|second| u32::try_from(second).ok());
        if let (Some(child), Some(second)) = (&run.child, second) {
            // A child that does not listen is ended by its lease.
            let _ = child.tell(ToShard::Committed { second });
        }
    }

    pub(super) fn stop(&mut self, key: &ShardKey, reason: String) {
        let Some(run) = self.runs.get_mut(key) else { return };
        run.kill_at = Some(self.clock.now_us() + STOP_LIMIT_US);
        if let Some(child) = &run.child {
            // If it does not listen, the kill follows.
            let _ = child.tell(ToShard::Stop { graceful: false, reason });
        } else {
            // Files are still on their way: the process that would use them is not kept.
            self.happened(key, Happening::Exited("stopped before it was ready".to_owned()));
        }
    }

    pub(super) fn discard(&mut self, key: &ShardKey) {
        let Some(mut run) = self.runs.remove(key) else { return };
        if let Some(logs) = &mut run.logs {
            logs.close(self.clock.unix_ms());
        }
        let report = ShardReport {
            key: key.clone(),
            phase: Phase::Gone { reason: "released".to_owned() },
            newest: run.outbox.newest(),
            start_us: None,
            yields: Vec::new(),
            load: LoadHeard::default(),
            closed: ClosedUsers::default(),
        };
        self.leave(Left { key: key.clone(), folder: run.folder, report: Some(report) });
    }

    pub(super) fn child_event(&mut self, key: &ShardKey, event: ChildEvent) {
        if let Some(run) = self.runs.get_mut(key) {
            run.pulse.heard(matches!(event, ChildEvent::Frame { last: true, .. }));
        }
        match event {
            ChildEvent::Line { stream, line } => {
                let stream = match stream {
                    OutputStream::Stdout => LogStream::Stdout,
                    OutputStream::Stderr => LogStream::Stderr,
                };
                let at = self.clock.unix_ms();
                if let Some(logs) = self.runs.get_mut(key).and_then(|run| run.logs.as_mut()) {
                    logs.write(stream, at, &line);
                }
            }
            ChildEvent::Frame { seq, second, shard, epoch, body, .. } => {
                let Some(run) = self.runs.get_mut(key) else { return };
                run.second_of_0 = i64::from(second).checked_sub_unsigned(seq);
                let own = (shard, epoch) == (key.shard, key.epoch);
                let kept = if own {
                    run.outbox.append(seq, &body).map_err(|error| error.to_string())
                } else {
                    Err(format!("a frame of shard {shard} in epoch {epoch}"))
                };
                match kept {
                    Ok(()) => {
                        self.happened(key, Happening::Framed(seq));
                        self.pump(key);
                    }
                    // Going on would measure what is never reported.
                    Err(reason) => self.give_up(key, reason),
                }
            }
            ChildEvent::Said(FromShard::Ready(plan)) => {
                if let Some(run) = self.runs.get_mut(key) {
                    (run.build_until, run.turn) = (None, None);
                }
                self.happened(key, Happening::Ready(Box::new(plan)));
            }
            ChildEvent::Said(FromShard::Yielded(yielded)) => {
                self.happened(key, Happening::Yielded(yielded));
            }
            ChildEvent::Said(FromShard::Load(heard)) => {
                self.happened(key, Happening::Load(heard));
            }
            ChildEvent::Said(FromShard::Surplus(word)) => {
                self.happened(key, Happening::Surplus(word));
            }
            ChildEvent::Said(FromShard::HeldBack { users }) => {
                self.happened(key, Happening::HeldBack(users));
            }
            ChildEvent::Said(FromShard::Finished { reason }) => {
                self.happened(key, Happening::Finished(reason));
            }
            ChildEvent::Said(FromShard::Failed(problem)) => {
                self.happened(key, Happening::Failed(problem));
            }
            ChildEvent::Said(FromShard::Output { .. } | FromShard::Alive) => {}
            ChildEvent::Exited { reason } => {
                if let Some(run) = self.runs.get_mut(key) {
                    (run.child, run.turn) = (None, None);
                    if let Some(logs) = &mut run.logs {
                        logs.close(self.clock.unix_ms());
                    }
                }
                self.happened(key, Happening::Exited(reason));
                self.keep_report(key);
            }
        }
    }

    pub(super) fn give_up(&mut self, key: &ShardKey, reason: String) {
        tracing::error!(%key, %reason, "shard given up");
        if let Some(child) = self.runs.get(key).and_then(|run| run.child.as_ref()) {
            child.kill();
        }
        self.happened(key, Happening::Exited(reason));
    }

    pub(super) fn happened(&mut self, key: &ShardKey, happening: Happening) {
        let acts = self.book.happened(key, happening);
        let changed = !acts.is_empty();
        self.perform(acts);
        let without_child = self.runs.get(key).is_none_or(|run| run.child.is_none());
        if changed && without_child {
            self.keep_report(key);
        }
    }

    /// Once the process is gone, nothing of the report changes any more.
    pub(super) fn keep_report(&self, key: &ShardKey) {
        let (Some(run), Some(report)) = (self.runs.get(key), self.book.report(key)) else { return };
        if report.phase.is_live() {
            return;
        }
        if let Err(error) = runs::keep_report(&run.folder, &report) {
            tracing::warn!(%key, %error, "report not kept");
        }
    }

    /// Sends what was not sent in this session, as far as there is room.
    pub(super) fn pump(&mut self, key: &ShardKey) {
        let (Some(session), Some(run)) = (&self.session, self.runs.get_mut(key)) else { return };
        let say = |place: mpsc::Permit<'_, FromWorker>, seq, body| {
            place.send(FromWorker::Frame { key: key.clone(), seq, body });
        };
        let sent = run.sender.pump(&run.outbox, || session.to.try_reserve().ok(), say);
        if let Err(Damage { newest, error }) = sent {
            tracing::error!(%key, %error, "frame not readable");
            self.happened(key, Happening::Damaged { newest, reason: error.to_string() });
        }
    }

    pub(super) fn on_tick(&mut self) {
        self.clear_what_is_left();
        let now = self.clock.now_us();
        let keys: Vec<ShardKey> = self.runs.keys().cloned().collect();
        for key in keys {
            self.pump(&key);
            let Some(run) = self.runs.get_mut(&key) else { continue };
            let Some(child) = &run.child else { continue };
            let running = self.book.report(&key).is_some_and(|r| r.phase == Phase::Running);
            if run.build_until.is_some_and(|until| now > until) {
                run.build_until = None;
                child.kill();
                self.happened(&key, Happening::Failed(too_long(self.config.build_limit)));
            } else if run.kill_at.is_some_and(|at| now > at) {
                run.kill_at = None;
                child.kill();
            } else if running && now > self.lease.until_us().saturating_add(LEASE_KILL_US) {
                child.kill();
            } else if running && run.pulse.look() {
                self.give_up(&key, HANGS.to_owned());
            }
        }
    }
}

async fn bring_up(
    config: &Config,
    folder: &std::path::Path,
    events: &mpsc::Sender<Event>,
    key: &ShardKey,
    turns: Option<Arc<Semaphore>>,
) -> Result<(Child, LoadTurn), String> {
    let turn = match turns {
        // It is never closed.
        Some(turns) => turns.acquire_owned().await.ok(),
        None => None,
    };
    let tagged = key.clone();
    let tag = move |event| Event::Child { key: tagged.clone(), event };
    let child = child::spawn(&config.command, folder, events.clone(), tag)
        .map_err(|error| format!("{} could not be started: {error}", config.command.join(" ")))?;
    Ok((child, turn))
}

const HANGS: &str = "its process hangs: nothing was heard of it for 10 s; it was killed";

fn too_long(limit: Duration) -> Problem {
    Problem {
        kind: ProblemKind::ScriptLimit,
        message: format!("the simulation was not built within {limit:?}"),
        file: None,
        line: None,
        column: None,
        excerpt: None,
    }
}
