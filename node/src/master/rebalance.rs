//! What becomes of the segments of a lost shard, while its job runs. Pure, as [`super::reconcile`]
//! whose part it is.
//!
//! ```text
//! lost ──▶ reassigned to survivors ──prepare──▶ ready ──giver is surely silent──▶ begun ──▶ running
//!              ▲                          │ unable, lost, another plan
//!              └──────────────────────────┘
//! ```
//!
//! A taker is a shard of its own: a process beside the one that its node has already, with a number,
//! an epoch and frames of its own. It starts new users at their planned times; what was planned
//! between the loss and its beginning is missed, counted and not caught up.

use std::collections::BTreeSet;

use onrush_raft::ledger::job::{
    Assignment, AssignmentState, Begins, Division, Job, JobCommand, NewAssignment, OnNodeLoss,
    Stages,
};
use onrush_raft::ledger::limits::STAGES_MAX;
use onrush_raft::types::PeerName;
use onrush_scenario::shard::{Plan, RecordsFrom, TakeOver, Yielded};

use super::place;
use super::reconcile::{
    Intent, Node, View, active, key, loss, order, problem_text, report, shard_lost,
};
use crate::control_wire::{Phase, ShardKey, ToWorker};

/// Shards given up after as many of one share have been lost in turn: what kills them goes with it.
const LOSSES_MAX: usize = 8;
/// Shards of one share that were ready for nothing: lost or unable before they began.
const TAKE_UPS_MAX: usize = 8;
/// Shards of a job that died one after another on a node that lives: then others get the segments.
const DEATHS_PER_NODE_MAX: usize = 3;
/// Times that a node was given segments of a job and could not take them (its disk is full, say):
/// then it is asked no more, as long as there are others.
const REFUSALS_PER_NODE_MAX: usize = 2;
/// Less than this before the end of the profiles, nothing is moved between nodes that live.
const WORTH_US: u64 = 5_000_000;
/// Shards that give to a node that is new: it runs a process for each.
const GIVERS_MAX: usize = 4;

/// Gives segments of lost shards to nodes that live.
pub(super) fn reassign(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let mut assignments: Vec<NewAssignment> = Vec::new();
    let mut shard = job.next_shard();
    for giver in lost(job) {
        let segments = job.vacant(giver);
        if segments.is_empty() || !is_worth_it(view, job, giver) {
            continue;
        }
        let nodes: Vec<&Node> =
            able(view, job, giver).into_iter().filter(|node| node.candidate.present).collect();
        for (node, segments) in share_out(job, &nodes, &segments) {
            let takes_over = Some(giver.shard);
            assignments.push(NewAssignment { shard, node, segments, takes_over });
            shard += 1;
        }
    }
    if !assignments.is_empty() {
        intents.push(Intent::Propose(JobCommand::Reassign { id: job.id.clone(), assignments }));
    }
}

/// Whether segments without a living shard will still get one: the job does not end meanwhile.
pub(super) fn is_under_way(view: &View<'_>, job: &Job) -> bool {
    lost(job).any(|giver| {
        !job.vacant(giver).is_empty()
            && is_worth_it(view, job, giver)
            && !able(view, job, giver).is_empty()
    })
}

/// One step of a shard that is to take over and has not begun.
pub(super) fn take_up(view: &View<'_>, job: &Job, taker: &Assignment, intents: &mut Vec<Intent>) {
    if said(view, job, taker).is_some() {
        return;
    }
    let mut give_up = |reason: String| intents.push(shard_lost(key(job, taker), reason));
    let giver = taker.takes_over.and_then(|shard| job.shard(shard));
    let Some(giver) = giver.filter(|it| !matches!(it.state, AssignmentState::Done { .. })) else {
        return give_up("the shard that it was to take over from has ended".to_owned());
    };
    let found = report(view, job, taker);
    let newest = found.map_or(0, |report| report.newest);
    match found.map(|report| &report.phase) {
        None => match loss(view, taker, false) {
            Some(reason) => give_up(reason),
            None if is_present(view, &taker.node) => intents.push(Intent::Order {
                peer: taker.node.clone(),
                order: ToWorker::Prepare(Box::new(order(job, taker))),
            }),
            None => {}
        },
        Some(Phase::Preparing) => {}
        Some(Phase::Ready { plan }) if !is_same_plan(job, plan) => {
            give_up("it would not run the same test".to_owned());
        }
        Some(Phase::Ready { .. }) if giver.state == AssignmentState::Active => {
            intents.extend(ask(view, job, giver, taker));
        }
        Some(Phase::Ready { .. }) => {
            // A lost shard generates nothing any more: that was sure before it was called lost.
            if matches!(giver.state, AssignmentState::Lost { .. }) {
                let Some(age_us) = view.age_us(job) else { return };
                intents.push(begin(job, taker, job.begins(taker, age_us)));
            }
        }
        // The simulation ran until now: what is wrong is wrong with this node.
        Some(Phase::Failed { problem }) => give_up(problem_text(problem)),
        Some(Phase::Unable { reason } | Phase::Gone { reason }) => give_up(reason.clone()),
        // It has begun, by the word of a master whose ledger knew more than this one's does yet.
        Some(Phase::Running) => {}
        Some(Phase::Ended { .. }) if newest > 0 => {}
        Some(Phase::Ended { .. }) => give_up("it ended before it began".to_owned()),
    }
}

/// What givers that live say they gave away is theirs no more: before anything else becomes of
/// either shard it is the taker's, be that lost by now. Its segments are taken from it then. What
/// was given twice went to the first: of the second, nothing is said before that is settled.
pub(super) fn begin_given(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    for giver in active(job) {
        let Some(report) = report(view, job, giver) else { continue };
        let mut given: BTreeSet<u32> = BTreeSet::new();
        for Yielded { to, at_us, records, stages } in &report.yields {
            let Some(taker) = job.shard(*to).filter(|it| said(view, job, it).is_some()) else {
                continue;
            };
            let count = given.len() + taker.segments.len();
            given.extend(&taker.segments);
            if given.len() == count {
                let stages = Stages { began_us: stages.clone(), known_us: *at_us };
                let (at_us, records) = (*at_us, records.clone());
                let begins = Begins { at_us, records, unseen: 0, stages };
                intents.push(begin(job, taker, begins));
            }
        }
    }
}

/// Whether this shard has given segments away that are not the taker's yet.
pub(super) fn owes(view: &View<'_>, job: &Job, giver: &Assignment) -> bool {
    let takers = job.assignments.iter().filter(|a| a.takes_over == Some(giver.shard));
    takers.into_iter().any(|taker| said(view, job, taker).is_some())
}

/// The word of the giver on a taker that has not begun.
fn said<'a>(view: &View<'a>, job: &Job, taker: &Assignment) -> Option<&'a Yielded> {
    if taker.has_begun() || job.abort.is_some() || !job.may_begin(taker) {
        return None;
    }
    let giver = taker.takes_over.and_then(|shard| job.shard(shard)).filter(|it| !it.is_over())?;
    report(view, job, giver)?.yields.iter().find(|yielded| yielded.to == taker.shard)
}

fn begin(job: &Job, taker: &Assignment, begins: Begins) -> Intent {
    let ShardKey { job: id, shard, epoch } = key(job, taker);
    Intent::Propose(JobCommand::Begin { id, shard, epoch, begins })
}

/// A giver that lives says itself from when on the segments are the taker's.
fn ask(view: &View<'_>, job: &Job, giver: &Assignment, taker: &Assignment) -> Option<Intent> {
    let report = report(view, job, giver)?;
    let order = ToWorker::Yield {
        key: key(job, giver),
        to: taker.shard,
        epoch: taker.epoch,
        segments: taker.segments.clone(),
    };
    (report.phase == Phase::Running).then(|| Intent::Order { peer: giver.node.clone(), order })
}

/// Moves segments between nodes that live: away from one that is drained, and to one that is new
/// where the job runs on all nodes.
pub(super) fn even_out(view: &View<'_>, job: &Job, intents: &mut Vec<Intent>) {
    let age_us = view.age_us(job).unwrap_or(u64::MAX);
    let to_come = has_load_at(job, age_us.saturating_add(WORTH_US));
    let is_moving = job
        .assignments
        .iter()
        .any(|a| a.state == AssignmentState::Active && (!a.has_begun() || owes(view, job, a)));
    if !to_come || is_moving {
        return;
    }
    let mut assignments = drain(view, job);
    if assignments.is_empty() {
        assignments = welcome(view, job);
    }
    if !assignments.is_empty() {
        intents.push(Intent::Propose(JobCommand::Reassign { id: job.id.clone(), assignments }));
    }
}

/// Shards that generate load and whose nodes can be asked.
fn running<'a>(view: &View<'a>, job: &'a Job) -> impl Iterator<Item = (&'a Assignment, &'a Node)> {
    let nodes = view.nodes;
    job.assignments.iter().filter_map(move |a| {
        let node = nodes.get(&a.node).filter(|node| node.candidate.present)?;
        (a.state == AssignmentState::Active && a.has_begun()).then_some((a, node))
    })
}

/// All that drained nodes have goes to those that are not.
fn drain(view: &View<'_>, job: &Job) -> Vec<NewAssignment> {
    let mut assignments = Vec::new();
    let mut shard = job.next_shard();
    for (giver, node) in running(view, job) {
        let segments = job.transferable(giver);
        if !node.candidate.draining || segments.is_empty() {
            continue;
        }
        let nodes: Vec<&Node> = able(view, job, giver)
            .into_iter()
            .filter(|node| node.candidate.present && !node.candidate.draining)
            .collect();
        for (node, segments) in share_out(job, &nodes, &segments) {
            let takes_over = Some(giver.shard);
            assignments.push(NewAssignment { shard, node, segments, takes_over });
            shard += 1;
        }
    }
    assignments
}

/// A node that runs nothing of a job that is to run on all of them gets its share, from those that
/// have the most.
fn welcome(view: &View<'_>, job: &Job) -> Vec<NewAssignment> {
    if job.spec.nodes > 0 || job.spec.division == Division::Copy {
        return Vec::new();
    }
    let candidates: Vec<_> = view.nodes.values().map(|node| node.candidate.clone()).collect();
    let eligible = place::eligible(job, &candidates);
    let busy = |peer: &PeerName| {
        job.assignments.iter().any(|a| &a.node == peer && a.state == AssignmentState::Active)
    };
    let is_new = |node: &&&place::Candidate| {
        let avoided = node.draining || (job.spec.avoid_master && node.is_master);
        node.present
            && !avoided
            && !busy(&node.peer)
            && deaths(job, &node.peer) < DEATHS_PER_NODE_MAX
            && refusals(job, &node.peer) < REFUSALS_PER_NODE_MAX
    };
    let Some(new) = eligible.iter().find(is_new) else { return Vec::new() };
    let of_zone = |node: &Node| {
        job.spec.zone_shares.is_empty() || place::zone(&node.candidate) == place::zone(new)
    };
    let mut givers: Vec<(&Assignment, Vec<u32>)> = running(view, job)
        .filter(|(_, node)| of_zone(node))
        .map(|(giver, _)| (giver, job.transferable(giver)))
        .collect();
    let nodes: BTreeSet<&PeerName> = givers.iter().map(|(giver, _)| &giver.node).collect();
    let whole: usize = givers.iter().map(|(_, segments)| segments.len()).sum();
    let share = whole / (nodes.len() + 1);
    givers.sort_by_key(|(giver, segments)| (std::cmp::Reverse(segments.len()), giver.shard));
    givers.truncate(GIVERS_MAX);
    let held: usize = givers.iter().map(|(_, segments)| segments.len()).sum();
    let mut assignments = Vec::new();
    for ((giver, segments), shard) in givers.iter().zip(job.next_shard()..) {
        // In proportion to what each has, and every so many, so that both stay spread.
        let count = share * segments.len() / held.max(1);
        let segments: Vec<u32> = (0..count).map(|i| segments[i * segments.len() / count]).collect();
        if !segments.is_empty() {
            let takes_over = Some(giver.shard);
            assignments.push(NewAssignment { shard, node: new.peer.clone(), segments, takes_over });
        }
    }
    assignments
}

/// What the shard is told at its start, where it takes over.
pub(super) fn take_over(assignment: &Assignment) -> Option<TakeOver> {
    let begins = assignment.begins.as_ref()?;
    let feeders = (0..).zip(&begins.records);
    Some(TakeOver {
        from_us: Some(begins.at_us),
        feeders: feeders.map(|(feeder, &record)| RecordsFrom { feeder, record }).collect(),
        unseen: begins.unseen,
        stages: begins.stages.began_us.clone(),
        known_us: begins.stages.known_us,
    })
}

fn lost(job: &Job) -> impl Iterator<Item = &Assignment> {
    job.assignments.iter().filter(|a| matches!(a.state, AssignmentState::Lost { .. }))
}

fn is_present(view: &View<'_>, peer: &PeerName) -> bool {
    view.nodes.get(peer).is_some_and(|node| node.candidate.present)
}

fn plan(job: &Job) -> Option<Plan> {
    serde_json::from_str(job.plan.as_deref()?).ok()
}

/// Whether users may start then or later. Where populations follow on others, nobody knows until
/// when: whoever finds that nothing is left ends at once.
fn has_load_at(job: &Job, age_us: u64) -> bool {
    plan(job).is_some_and(|plan| {
        let over = plan.max_duration_us.is_some_and(|most| age_us >= most);
        let to_come = match plan.stages as usize {
            0 => age_us < plan.injection_us,
            // More than the ledger has room for.
            stages => stages <= STAGES_MAX,
        };
        to_come && !over
    })
}

fn is_same_plan(job: &Job, theirs: &str) -> bool {
    let theirs = serde_json::from_str::<Plan>(theirs).ok();
    theirs.zip(plan(job)).is_some_and(|(theirs, plan)| theirs.plan_hash == plan.plan_hash)
}

/// The job asks for it, there is load to come, and it has not been tried too often.
fn is_worth_it(view: &View<'_>, job: &Job, giver: &Assignment) -> bool {
    if job.spec.on_node_loss != OnNodeLoss::Rebalance {
        return false;
    }
    let age_us = view.age_us(job).unwrap_or(0);
    let to_come = has_load_at(job, age_us);
    let origin = job.origin(giver);
    let of_share = || lost(job).filter(|a| job.origin(a) == origin);
    let begun = of_share().filter(|a| !a.is_void()).count();
    let void = of_share().filter(|a| a.is_void()).count();
    to_come && begun < LOSSES_MAX && void < TAKE_UPS_MAX
}

/// Who may take over from this shard, now or in a moment: its own node, where only the process
/// died; else the nodes that run the job; else whoever could have run it.
fn able<'a>(view: &View<'a>, job: &Job, giver: &Assignment) -> Vec<&'a Node> {
    let origin = job.origin(giver);
    let failed = |peer: &PeerName| {
        lost(job).filter(|a| a.is_void() && &a.node == peer && job.origin(a) == origin).count()
    };
    let steady = |node: &Node| {
        failed(&node.candidate.peer) == 0
            && deaths(job, &node.candidate.peer) < DEATHS_PER_NODE_MAX
            && refusals(job, &node.candidate.peer) < REFUSALS_PER_NODE_MAX
            && !node.candidate.draining
    };
    if let Some(own) = view.nodes.get(&giver.node)
        && own.candidate.present
        && steady(own)
    {
        return vec![own];
    }
    let candidates: Vec<_> = view.nodes.values().map(|node| node.candidate.clone()).collect();
    let eligible = place::eligible(job, &candidates);
    let all: Vec<&Node> = view
        .nodes
        .values()
        .filter(|node| node.is_expected())
        .filter(|node| eligible.iter().any(|it| it.peer == node.candidate.peer))
        .collect();
    let runs = |node: &Node| {
        job.assignments.iter().any(|a| {
            a.node == node.candidate.peer && a.state == AssignmentState::Active && a.has_begun()
        })
    };
    let wanted = |node: &Node| !(job.spec.avoid_master && node.candidate.is_master);
    let best: [&dyn Fn(&Node) -> bool; 4] = [
        &|node| runs(node) && steady(node) && node.candidate.present,
        &|node| wanted(node) && steady(node),
        &|node| steady(node),
        &|_| true,
    ];
    let mut found = Vec::new();
    for rank in best {
        found = all.iter().copied().filter(|node| rank(node)).collect();
        if !found.is_empty() {
            break;
        }
    }
    keep_the_zone(view, job, giver, &mut found);
    found
}

/// What a zone has of a job with shares by zone stays in it, as long as somebody is there.
fn keep_the_zone(view: &View<'_>, job: &Job, giver: &Assignment, nodes: &mut Vec<&Node>) {
    let zone = view.nodes.get(&giver.node).and_then(|node| place::zone(&node.candidate));
    let is_same = |node: &&Node| place::zone(&node.candidate) == zone;
    if !job.spec.zone_shares.is_empty() && nodes.iter().any(is_same) {
        nodes.retain(is_same);
    }
}

/// Shards of the job that were lost on a node.
fn deaths(job: &Job, peer: &PeerName) -> usize {
    lost(job).filter(|a| !a.is_void() && &a.node == peer).count()
}

/// Times that a node was given segments and began with none of them; what it got at one time is of
/// one epoch.
fn refusals(job: &Job, peer: &PeerName) -> usize {
    let void = lost(job).filter(|a| a.is_void() && &a.node == peer);
    void.map(|a| a.epoch).collect::<BTreeSet<u64>>().len()
}

/// Evenly, by the nodes' weights; a copy of the whole simulation goes to one of them.
fn share_out(job: &Job, nodes: &[&Node], segments: &[u32]) -> Vec<(PeerName, Vec<u32>)> {
    let busy = |node: &Node| {
        let active = |a: &&Assignment| a.state == AssignmentState::Active;
        job.assignments.iter().filter(active).filter(|a| a.node == node.candidate.peer).count()
    };
    if job.spec.division == Division::Copy {
        let least = nodes.iter().min_by_key(|node| (busy(node), &node.candidate.peer));
        return least
            .map(|node| (node.candidate.peer.clone(), segments.to_vec()))
            .into_iter()
            .collect();
    }
    let weights: Vec<u32> = nodes.iter().map(|node| node.candidate.cores.max(1)).collect();
    let parts = onrush_scenario::inject::division::share_out(segments, &weights);
    let named = nodes.iter().map(|node| node.candidate.peer.clone());
    named.zip(parts).filter(|(_, part)| !part.is_empty()).collect()
}
