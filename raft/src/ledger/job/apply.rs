//! The life cycle: each transition checks that it follows, then changes one row.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Assignment, AssignmentState, Division, Job, JobCommand, JobEvent, JobSpec, JobStatus,
    NewAssignment, SealedTicks, Stages, Verdict, spec,
};
use crate::ledger::file::check_content;
use crate::ledger::outcome::{Outcome, Rejection};
use crate::ledger::{At, Ledger, limits};
use crate::types::{ContentId, JobId, ProjectName, UnixMs};

impl Ledger {
    pub(in crate::ledger) fn apply_job(
        &mut self,
        at: At<'_>,
        command: &JobCommand,
    ) -> Result<Outcome, Rejection> {
        match command {
            JobCommand::Submit { id, project, spec } => self.submit(at, id, project, spec),
            JobCommand::Prepare { id, assignments } => self.prepare(at, id, assignments),
            JobCommand::Requeue { id, reason, failed } => self.requeue(at, id, reason, *failed),
            JobCommand::Start { id, start_at, plan } => self.start(at, id, *start_at, plan),
            JobCommand::Ticks { sections } => self.ticks(at, sections),
            JobCommand::ShardDone { id, shard, epoch, final_seq, completed } => {
                self.shard_done(at, id, (*shard, *epoch), (*final_seq, *completed))
            }
            JobCommand::ShardLost { id, shard, epoch, reason } => {
                self.shard_lost(at, id, (*shard, *epoch), reason)
            }
            JobCommand::Finalize { id } => self.finalize(at, id),
            JobCommand::Finish { id, status, verdict, artifacts, digest } => {
                self.finish(at, id, *status, verdict, artifacts, digest.as_deref())
            }
            JobCommand::Abort { id, reason } => self.abort(at, id, reason),
            JobCommand::Seal { id, sealed } => self.seal(id, sealed),
            JobCommand::Note { id, what } => self.note(at, id, what),
            JobCommand::Reassign { id, assignments } => self.reassign(at, id, assignments),
            JobCommand::Begin { id, shard, epoch, begins } => {
                self.begin(at, id, (*shard, *epoch), begins)
            }
            JobCommand::Load { id, factor, paused } => self.load(at, id, *factor, *paused),
            JobCommand::LoadAt { id, change, at_us } => self.load_at(at, id, *change, *at_us),
        }
    }

    pub(super) fn require_job(&self, id: &JobId) -> Result<&Job, Rejection> {
        let shown: String = id.0.chars().take(80).collect();
        let job = self.jobs.get(id).map(AsRef::as_ref);
        job.ok_or_else(|| Rejection::NotFound { what: format!("job {shown}") })
    }

    /// The job, refused unless its status is one of `allowed`.
    pub(super) fn require_status(
        &self,
        id: &JobId,
        allowed: &[JobStatus],
    ) -> Result<&Job, Rejection> {
        let job = self.require_job(id)?;
        if allowed.contains(&job.status) {
            return Ok(job);
        }
        Err(Rejection::Conflict(format!("{id} is {}", job.status.as_str())))
    }

    fn submit(
        &mut self,
        at: At<'_>,
        id: &JobId,
        project: &ProjectName,
        spec: &JobSpec,
    ) -> Result<Outcome, Rejection> {
        self.require_project(project)?;
        spec::check(spec)?;
        if id.0.is_empty() || id.0.len() > limits::NAME_BYTES_MAX {
            return Err(Rejection::Invalid(format!("a job id has {} bytes", id.0.len())));
        }
        if self.jobs.get(id).is_some() {
            return Err(Rejection::Exists { what: format!("job {id}") });
        }
        for (path, content) in &spec.files {
            let known = self.files.versions(project, path);
            if !known.is_some_and(|v| v.values().any(|v| &v.content == content)) {
                let what = format!("file {path} of project {project} with content {content}");
                return Err(Rejection::NotFound { what });
            }
        }
        let live = self.jobs.live().filter(|job| &job.project == project).count();
        let most = limits::LIVE_JOBS_PER_PROJECT_MAX;
        limits::count("jobs that have not ended in one project", live + 1, most)?;
        limits::count("jobs in the cluster", self.jobs.len() + 1, limits::JOBS_MAX)?;
        let number = self.jobs.next_number();
        let mut job = new_job(at, id, project, spec, number);
        job.record(at, "submitted".to_owned());
        self.jobs.insert(job);
        Ok(Outcome::Submitted { id: id.clone(), replayed: false })
    }

    fn prepare(
        &mut self,
        at: At<'_>,
        id: &JobId,
        assignments: &[NewAssignment],
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Queued])?;
        job.refuse_if_aborting()?;
        check_assignments(job.spec.division, assignments)?;
        let (number, epoch) = (job.number, job.epoch + 1);
        let nodes: Vec<String> = assignments.iter().map(|new| self.node_name(&new.node)).collect();
        self.jobs.change(number, |job| {
            job.status = JobStatus::Preparing;
            job.epoch = epoch;
            job.assignments = assignments.iter().map(|new| assigned(new, epoch)).collect();
            job.record(at, format!("preparing as epoch {epoch} on {}", nodes.join(", ")));
        });
        Ok(Outcome::Epoch(epoch))
    }

    fn requeue(
        &mut self,
        at: At<'_>,
        id: &JobId,
        reason: &str,
        failed: bool,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Preparing])?;
        job.refuse_if_aborting()?;
        limits::text("the reason", reason, limits::REASON_BYTES_MAX)?;
        let number = job.number;
        self.jobs.change(number, |job| {
            job.status = JobStatus::Queued;
            job.assignments.clear();
            job.failed_preparations += u32::from(failed);
            job.record(at, format!("queued again: {reason}"));
        });
        Ok(Outcome::Done)
    }

    fn start(
        &mut self,
        at: At<'_>,
        id: &JobId,
        start_at: UnixMs,
        plan: &str,
    ) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Preparing])?;
        job.refuse_if_aborting()?;
        limits::text("the plan", plan, limits::OPAQUE_BYTES_MAX)?;
        let number = job.number;
        self.jobs.change(number, |job| {
            job.status = JobStatus::Running;
            job.plan = Some(plan.to_owned());
            job.record(at, format!("running from {start_at}"));
            job.start_at = Some(start_at);
        });
        Ok(Outcome::Done)
    }

    fn finalize(&mut self, at: At<'_>, id: &JobId) -> Result<Outcome, Rejection> {
        let job = self.require_status(id, &[JobStatus::Running])?;
        job.refuse_if_open()?;
        let number = job.number;
        self.jobs.change(number, |job| {
            job.status = JobStatus::Finalizing;
            job.record(at, "finalizing".to_owned());
        });
        Ok(Outcome::Done)
    }

    fn finish(
        &mut self,
        at: At<'_>,
        id: &JobId,
        status: JobStatus,
        verdict: &Verdict,
        artifacts: &BTreeMap<String, ContentId>,
        digest: Option<&str>,
    ) -> Result<Outcome, Rejection> {
        use JobStatus::{Finalizing, Finished, Preparing, Queued, Running};
        let any = [Queued, Preparing, Running, Finalizing];
        let from = if status == Finished { &[Finalizing][..] } else { &any[..] };
        let job = self.require_status(id, from)?;
        let number = job.number;
        if !status.is_terminal() {
            let status = status.as_str();
            return Err(Rejection::Invalid(format!("{status} is not an end of a job")));
        }
        if job.status == Running {
            job.refuse_if_open()?;
        }
        limits::text("the verdict's reason", &verdict.reason, limits::REASON_BYTES_MAX)?;
        limits::text("the digest", digest.unwrap_or(""), limits::OPAQUE_BYTES_MAX)?;
        limits::count("artifacts", artifacts.len(), limits::ARTIFACTS_MAX)?;
        for (name, content) in artifacts {
            limits::text("the name of an artifact", name, limits::PATH_BYTES_MAX)?;
            check_content(content)?;
        }
        self.jobs.change(number, |job| {
            job.status = status;
            job.verdict = verdict.clone();
            job.artifacts.clone_from(artifacts);
            job.digest = digest.map(str::to_owned);
            job.ended_at = Some(at.at);
            let reason = if verdict.reason.is_empty() { "" } else { ": " };
            job.record(at, format!("{}{reason}{}", status.as_str(), verdict.reason));
        });
        Ok(Outcome::Done)
    }

    fn abort(&mut self, at: At<'_>, id: &JobId, reason: &str) -> Result<Outcome, Rejection> {
        let job = self.require_job(id)?;
        if job.status.is_terminal() {
            return Err(Rejection::Conflict(format!("{id} is {}", job.status.as_str())));
        }
        limits::text("the reason", reason, limits::REASON_BYTES_MAX)?;
        if job.abort.is_some() {
            return Ok(Outcome::Done);
        }
        let number = job.number;
        self.jobs.change(number, |job| {
            job.abort = Some(clip(reason));
            let colon = if reason.is_empty() { "" } else { ": " };
            job.record(at, format!("abort requested{colon}{reason}"));
            if job.status == JobStatus::Queued {
                job.status = JobStatus::Aborted;
                job.ended_at = Some(at.at);
                job.verdict.reason = clip(reason);
                job.record(at, "aborted before it ran".to_owned());
            }
        });
        Ok(Outcome::Done)
    }

    fn seal(&mut self, id: &JobId, sealed: &SealedTicks) -> Result<Outcome, Rejection> {
        let job = self.require_job(id)?;
        check_content(&sealed.content)?;
        if job.sealed.last().is_some_and(|last| last == sealed) {
            return Ok(Outcome::Done);
        }
        limits::count("sealed segments", job.sealed.len() + 1, limits::SEALED_MAX)?;
        let first = job.sealed.last().map_or(1, |last| last.to + 1);
        if sealed.from != first || sealed.to < first || sealed.to > job.last_tick {
            return Err(Rejection::Conflict(format!(
                "ticks {} to {} cannot be sealed: {first} to {} are not yet",
                sealed.from, sealed.to, job.last_tick
            )));
        }
        let number = job.number;
        self.jobs.change(number, |job| {
            job.ticks.retain(|tick| tick.number > sealed.to);
            job.sealed.push(sealed.clone());
        });
        Ok(Outcome::Done)
    }

    fn note(&mut self, at: At<'_>, id: &JobId, what: &str) -> Result<Outcome, Rejection> {
        let number = self.require_job(id)?.number;
        limits::text("the note", what, limits::EVENT_BYTES_MAX)?;
        self.jobs.change(number, |job| job.record(at, what.to_owned()));
        Ok(Outcome::Done)
    }
}

fn new_job(at: At<'_>, id: &JobId, project: &ProjectName, spec: &JobSpec, number: u64) -> Job {
    Job {
        id: id.clone(),
        project: project.clone(),
        number,
        spec: spec.clone(),
        status: JobStatus::Queued,
        verdict: Verdict::default(),
        submitted_by: at.by.to_owned(),
        submitted_at: at.at,
        start_at: None,
        ended_at: None,
        plan: None,
        epoch: 0,
        failed_preparations: 0,
        assignments: Vec::new(),
        ticks: Vec::new(),
        last_tick: 0,
        sealed: Vec::new(),
        artifacts: BTreeMap::new(),
        digest: None,
        abort: None,
        events: Vec::new(),
        loads: Vec::new(),
    }
}

pub(super) fn assigned(new: &NewAssignment, epoch: u64) -> Assignment {
    Assignment {
        shard: new.shard,
        epoch,
        node: new.node.clone(),
        segments: new.segments.clone(),
        cursor: 0,
        state: AssignmentState::Active,
        reserved: Vec::new(),
        stages: Stages::default(),
        takes_over: new.takes_over,
        begins: None,
    }
}

/// Shards are distinct and hold something; where the load is divided, no segment is held twice.
fn check_assignments(division: Division, all: &[NewAssignment]) -> Result<(), Rejection> {
    let invalid = |text: String| Err(Rejection::Invalid(text));
    if all.is_empty() {
        return invalid("no assignments".to_owned());
    }
    limits::count("shards", all.len(), limits::SHARDS_MAX)?;
    let (mut shards, mut segments) = (BTreeSet::new(), BTreeSet::new());
    for new in all {
        limits::count("segments of one shard", new.segments.len(), limits::SEGMENTS_MAX)?;
        limits::text("the node's peer id", &new.node.0, limits::NAME_BYTES_MAX)?;
        if !shards.insert(new.shard) {
            return invalid(format!("shard {} is assigned twice", new.shard));
        }
        if new.segments.is_empty() {
            return invalid(format!("shard {} has no segments", new.shard));
        }
        if new.takes_over.is_some() {
            return invalid(format!("shard {} takes over before anything runs", new.shard));
        }
        if division == Division::Copy {
            segments.clear();
        }
        for segment in &new.segments {
            if !segments.insert(*segment) {
                return invalid(format!("segment {segment} is assigned twice"));
            }
        }
    }
    Ok(())
}

/// At most `EVENT_BYTES_MAX` bytes of a text, cut between characters.
fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(limits::EVENT_BYTES_MAX)].to_owned()
}

impl Job {
    pub(super) fn refuse_if_aborting(&self) -> Result<(), Rejection> {
        if self.abort.is_none() {
            return Ok(());
        }
        Err(Rejection::Conflict(format!("{} is being aborted", self.id)))
    }

    /// Whoever thinks that all is known may not have seen the last reassignment.
    fn refuse_if_open(&self) -> Result<(), Rejection> {
        match self.assignments.iter().find(|a| !a.is_over()) {
            None => Ok(()),
            Some(open) => Err(Rejection::Conflict(format!(
                "shard {} of {} is neither done nor lost",
                open.shard, self.id
            ))),
        }
    }

    /// Appends to the audit trail. Beyond its bound the first and the newest events are kept,
    /// with one line between them that counts those left out.
    pub(super) fn record(&mut self, at: At<'_>, what: String) {
        const LEFT_OUT: &str = " events left out";
        let after_tick = self.start_at.map(|_| self.last_tick);
        let (at, by, what) = (at.at, at.by.to_owned(), clip(&what));
        self.events.push(JobEvent { at, after_tick, by, what });
        if self.events.len() <= limits::EVENTS_PER_JOB_MAX {
            return;
        }
        let marker = self.events.remove(limits::EVENTS_HEAD);
        let before = marker.what.strip_suffix(LEFT_OUT).and_then(|n| n.parse::<u64>().ok());
        let next = &mut self.events[limits::EVENTS_HEAD];
        next.what = format!("{}{LEFT_OUT}", before.unwrap_or(1) + 1);
    }
}

impl JobStatus {
    /// As in JSON: `queued`, `preparing` …
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Finalizing => "finalizing",
            Self::Finished => "finished",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}
