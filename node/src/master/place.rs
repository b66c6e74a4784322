//! Which queued jobs may prepare now, and on which nodes. Pure; refuses to remember anything: the
//! queue, the nodes and what runs are parameters, so a new master places as the old one would have.
//!
//! First in first out within a project; between projects, the one with the fewest running shards
//! first. The first job in that order that has to wait for busy nodes lets nobody past it (or a
//! wide job would wait for ever); one that asks for more nodes than there are stands aside.

use std::collections::BTreeMap;

use onrush_raft::ledger::job::{AssignmentState, Division, Job, JobStatus, NewAssignment};
use onrush_raft::types::{JobId, PeerName, ProjectName};
use onrush_scenario::inject::division;

/// Shards that one node runs at the same time.
pub const SHARDS_PER_NODE_MAX: usize = 4;
/// A label of a job that begins so asks for nodes with the label behind the prefix:
/// `node/zone=a` asks for nodes started with `zone=a`. Others only describe the job.
pub const NODE_LABEL_PREFIX: &str = "node/";
/// The label of a node that says where it is.
pub const ZONE: &str = "zone";

/// A node that could run shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    pub peer: PeerName,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub cores: u32,
    pub is_master: bool,
    /// A session to this master is open, and the worker has reported all that it knows in it. If
    /// not, it is on its way or was lost a moment ago: a job that would take it waits for which.
    pub present: bool,
    /// It gets no new shards.
    pub draining: bool,
}

/// Weights of all nodes of a job with shares by zone, together.
const WEIGHT_WHOLE: u64 = 10_000_000;

/// A job and the nodes it is to prepare on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    pub job: JobId,
    pub assignments: Vec<NewAssignment>,
}

/// `jobs`: all that have not ended, oldest first.
#[must_use]
pub fn place(jobs: &[&Job], nodes: &[Candidate]) -> Vec<Placement> {
    let mut busy: BTreeMap<&PeerName, usize> = BTreeMap::new();
    let mut running: BTreeMap<&ProjectName, usize> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.status != JobStatus::Queued) {
        for assignment in job.assignments.iter().filter(|a| a.state == AssignmentState::Active) {
            *busy.entry(&assignment.node).or_default() += 1;
            *running.entry(&job.project).or_default() += 1;
        }
    }
    let mut queue: Vec<&Job> = jobs.iter().copied().filter(|job| is_waiting(job)).collect();
    let mut placements = Vec::new();
    while let Some(job) = next_in_line(&queue, &running) {
        queue.retain(|other| other.id != job.id);
        let eligible = eligible(job, nodes);
        let wanted = wanted(job, &eligible);
        if wanted == 0 || wanted > eligible.len() || lacks_a_zone(job, &eligible) {
            // It cannot run with the nodes there are: the others of its project go on.
            continue;
        }
        let Some(chosen) = choose(&eligible, &busy, wanted, job.spec.avoid_master) else { break };
        for node in &chosen {
            *busy.entry(&node.peer).or_default() += 1;
        }
        *running.entry(&job.project).or_default() += chosen.len();
        placements.push(Placement { job: job.id.clone(), assignments: assign(job, &chosen) });
    }
    placements
}

fn is_waiting(job: &Job) -> bool {
    job.status == JobStatus::Queued && job.abort.is_none()
}

fn next_in_line<'a>(queue: &[&'a Job], running: &BTreeMap<&ProjectName, usize>) -> Option<&'a Job> {
    let load = |job: &Job| running.get(&job.project).copied().unwrap_or(0);
    queue.iter().copied().min_by_key(|job| (load(job), job.number))
}

/// Nodes with the labels asked for, by peer id.
pub(super) fn eligible<'a>(job: &Job, nodes: &'a [Candidate]) -> Vec<&'a Candidate> {
    let asked: Vec<(&str, &String)> = job
        .spec
        .labels
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(NODE_LABEL_PREFIX)?, value)))
        .collect();
    let matching = |node: &&Candidate| {
        asked.iter().all(|(key, value)| node.labels.get(*key).is_some_and(|has| has == *value))
    };
    let asked_for = |node: &&Candidate| {
        let shares = &job.spec.zone_shares;
        shares.is_empty() || zone(node).is_some_and(|zone| shares.contains_key(zone))
    };
    let mut found: Vec<&Candidate> = nodes.iter().filter(matching).filter(asked_for).collect();
    found.sort_by(|a, b| a.peer.cmp(&b.peer));
    found
}

/// Where the node is.
pub(super) fn zone(node: &Candidate) -> Option<&str> {
    node.labels.get(ZONE).map(String::as_str)
}

/// Whether a zone that is to have a share has nobody.
fn lacks_a_zone(job: &Job, eligible: &[&Candidate]) -> bool {
    let there = |name: &&String| eligible.iter().any(|node| zone(node) == Some(name.as_str()));
    !job.spec.zone_shares.keys().all(|name| there(&name))
}

/// How many nodes the job takes. `0` in the spec: all; less the master where it is to be avoided.
fn wanted(job: &Job, eligible: &[&Candidate]) -> usize {
    if job.spec.nodes > 0 {
        return job.spec.nodes as usize;
    }
    let others = eligible.iter().filter(|node| !node.is_master).count();
    if job.spec.avoid_master && others > 0 { others } else { eligible.len() }
}

/// The least busy nodes, the master last among equals. None when too few have room, or when a
/// better one may be about to come: a node is waited for before the job goes to fewer nodes than it
/// asks for, or to a master that it wants to avoid.
fn choose<'a>(
    eligible: &[&'a Candidate],
    busy: &BTreeMap<&PeerName, usize>,
    wanted: usize,
    avoid_master: bool,
) -> Option<Vec<&'a Candidate>> {
    let load = |node: &Candidate| busy.get(&node.peer).copied().unwrap_or(0);
    let mut free: Vec<&Candidate> =
        eligible.iter().copied().filter(|node| load(node) < SHARDS_PER_NODE_MAX).collect();
    // The master has work of its own.
    free.sort_by_key(|node| {
        let avoided = avoid_master && node.is_master;
        (avoided, !node.present, load(node), node.is_master)
    });
    if free.len() < wanted {
        return None;
    }
    free.truncate(wanted);
    if free.iter().any(|node| !node.present) {
        return None;
    }
    free.sort_by(|a, b| a.peer.cmp(&b.peer));
    Some(free)
}

/// By cores; where zones have shares, by cores within each.
fn weights(job: &Job, nodes: &[&Candidate]) -> Vec<u32> {
    let cores = |node: &Candidate| u64::from(node.cores.max(1));
    let shares = &job.spec.zone_shares;
    if shares.is_empty() {
        return nodes.iter().map(|node| node.cores.max(1)).collect();
    }
    let mut cores_of: BTreeMap<&str, u64> = BTreeMap::new();
    for node in nodes {
        *cores_of.entry(zone(node).unwrap_or_default()).or_default() += cores(node);
    }
    let whole: u64 = shares.values().map(|share| u64::from(*share)).sum();
    let weight = |node: &&Candidate| {
        let name = zone(node).unwrap_or_default();
        let share = shares.get(name).map_or(0, |share| u64::from(*share));
        let of_zone = cores_of.get(name).copied().unwrap_or(1);
        let weight = WEIGHT_WHOLE * share * cores(node) / (whole.max(1) * of_zone.max(1));
        u32::try_from(weight.max(1)).unwrap_or(u32::MAX)
    };
    nodes.iter().map(weight).collect()
}

fn assign(job: &Job, nodes: &[&Candidate]) -> Vec<NewAssignment> {
    let parts = match job.spec.division {
        Division::Split => division::split(&weights(job, nodes)),
        Division::Copy => vec![(0..division::SEGMENTS).collect(); nodes.len()],
    };
    nodes
        .iter()
        .zip(parts)
        // A node so small beside the others that no segment falls to it has nothing to run.
        .filter(|(_, segments)| !segments.is_empty())
        .zip(0..)
        .map(|((node, segments), shard)| NewAssignment {
            shard,
            node: node.peer.clone(),
            segments,
            takes_over: None,
        })
        .collect()
}

/// S of a job whose segments these are.
#[must_use]
pub fn segments_total(job: &Job) -> u32 {
    let highest = job.assignments.iter().flat_map(|a| &a.segments).max();
    highest.map_or(0, |highest| highest + 1).max(division::SEGMENTS)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::master::fixture::job;

    fn nodes(names: &[&str]) -> Vec<Candidate> {
        let node = |name: &&str| Candidate {
            peer: PeerName((*name).into()),
            name: (*name).into(),
            cores: 2,
            is_master: *name == "m",
            present: *name != "late",
            ..Candidate::default()
        };
        names.iter().map(node).collect()
    }

    fn placed(jobs: &[Job], nodes: &[Candidate]) -> Vec<String> {
        let jobs: Vec<&Job> = jobs.iter().collect();
        let shown = |placement: Placement| {
            let on: Vec<String> = placement
                .assignments
                .iter()
                .map(|a| format!("{}={}x{}", a.shard, a.node, a.segments.len()))
                .collect();
            format!("{}: {}", placement.job, on.join(" "))
        };
        place(&jobs, nodes).into_iter().map(shown).collect()
    }

    fn queued(number: u64, project: &str, count: u32) -> Job {
        let mut job = job(number, JobStatus::Queued);
        job.project = ProjectName(project.into());
        job.spec.nodes = count;
        job
    }

    #[test]
    fn all_nodes_share_a_job_evenly() {
        let got = placed(&[queued(1, "p", 0)], &nodes(&["a", "b", "m"]));
        assert_eq!(got, ["job_1: 0=ax240 1=bx240 2=mx240"]);
    }

    #[test]
    fn shares_follow_the_cores() {
        let mut nodes = nodes(&["a", "b"]);
        nodes[0].cores = 6;
        assert_eq!(placed(&[queued(1, "p", 0)], &nodes), ["job_1: 0=ax540 1=bx180"]);
    }

    #[test]
    fn segments_of_a_split_are_disjoint_and_complete() {
        let job = queued(1, "p", 0);
        let placements = place(&[&job], &nodes(&["a", "b", "c", "d", "e", "f", "g"]));
        let mut all: Vec<u32> =
            placements[0].assignments.iter().flat_map(|a| a.segments.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..720).collect::<Vec<_>>());
    }

    #[test]
    fn copies_own_everything() {
        let mut job = queued(1, "p", 0);
        job.spec.division = Division::Copy;
        assert_eq!(placed(&[job], &nodes(&["a", "b"])), ["job_1: 0=ax720 1=bx720"]);
    }

    #[test]
    fn the_master_is_left_out_where_asked() {
        let mut job = queued(1, "p", 0);
        job.spec.avoid_master = true;
        let all = nodes(&["a", "m"]);
        assert_eq!(placed(std::slice::from_ref(&job), &all), ["job_1: 0=ax720"]);
        assert_eq!(placed(&[job], &nodes(&["m"])), ["job_1: 0=mx720"]);
    }

    #[test]
    fn a_node_that_may_be_about_to_come_is_waited_for_only_where_it_would_be_taken() {
        let none = Vec::<String>::new();
        let all = nodes(&["a", "late", "m"]);
        assert_eq!(placed(&[queued(1, "p", 0)], &all), none);
        assert_eq!(placed(&[queued(1, "p", 3)], &all), none);
        assert_eq!(placed(&[queued(1, "p", 2)], &all), ["job_1: 0=ax360 1=mx360"]);
        let mut job = queued(1, "p", 2);
        job.spec.avoid_master = true;
        assert_eq!(placed(std::slice::from_ref(&job), &all), none);
        // Once it is given up for lost, the master is better than no run at all.
        assert_eq!(placed(&[job], &nodes(&["a", "m"])), ["job_1: 0=ax360 1=mx360"]);
    }

    #[test]
    fn labels_choose_nodes() {
        let mut job = queued(1, "p", 0);
        job.spec.labels.insert("node/zone".into(), "x".into());
        job.spec.labels.insert("team".into(), "shop".into());
        let mut all = nodes(&["a", "b"]);
        assert_eq!(placed(std::slice::from_ref(&job), &all), Vec::<String>::new());
        all[1].labels.insert("zone".into(), "x".into());
        assert_eq!(placed(&[job], &all), ["job_1: 0=bx720"]);
    }

    #[test]
    fn zones_have_the_shares_asked_for_and_nodes_by_their_cores_within() {
        let mut job = queued(1, "p", 0);
        job.spec.zone_shares = [("eu".to_owned(), 70), ("us".to_owned(), 30)].into();
        let mut all = nodes(&["a", "b", "c", "d", "e"]);
        for (node, zone) in all.iter_mut().zip(["eu", "eu", "us", "asia", ""]) {
            node.labels.insert("zone".into(), zone.into());
        }
        let got = placed(std::slice::from_ref(&job), &all);
        assert_eq!(got, ["job_1: 0=ax252 1=bx252 2=cx216"]);
        all[0].cores = 6;
        let got = placed(std::slice::from_ref(&job), &all);
        assert_eq!(got, ["job_1: 0=ax378 1=bx126 2=cx216"]);
        // A zone that has nobody is waited for; others go on.
        all[2].labels.insert("zone".into(), "eu".into());
        let got = placed(&[job, queued(2, "p", 1)], &all[..3]);
        assert_eq!(got, ["job_2: 0=ax720"]);
    }

    #[test]
    fn first_in_first_out_within_a_project_and_fair_between_projects() {
        let jobs = [queued(1, "p", 1), queued(2, "p", 1), queued(3, "q", 1)];
        let got = placed(&jobs, &nodes(&["a"]));
        assert_eq!(got, ["job_1: 0=ax720", "job_3: 0=ax720", "job_2: 0=ax720"]);
    }

    #[test]
    fn a_job_that_waits_for_busy_nodes_is_not_overtaken() {
        let mut jobs = vec![];
        for number in 1..=4 {
            let mut running = queued(number, "p", 1);
            running.status = JobStatus::Running;
            running.assignments = crate::master::fixture::assigned(&["a"]);
            jobs.push(running);
        }
        jobs.push(queued(5, "q", 2));
        jobs.push(queued(6, "q", 1));
        assert_eq!(placed(&jobs, &nodes(&["a", "b"])), Vec::<String>::new());
        // A shard that is over leaves its place.
        jobs[0].assignments[0].state = AssignmentState::Done { final_seq: 1, completed: true };
        let got = placed(&jobs, &nodes(&["a", "b"]));
        assert_eq!(got, ["job_5: 0=ax360 1=bx360", "job_6: 0=bx720"]);
    }

    #[test]
    fn a_job_wider_than_the_cluster_stands_aside() {
        let jobs = [queued(1, "p", 3), queued(2, "p", 1)];
        assert_eq!(placed(&jobs, &nodes(&["a", "b"])), ["job_2: 0=ax720"]);
    }

    #[test]
    fn an_aborted_job_is_not_placed() {
        let mut job = queued(1, "p", 1);
        job.abort = Some("enough".into());
        assert_eq!(placed(&[job], &nodes(&["a"])), Vec::<String>::new());
    }
}
