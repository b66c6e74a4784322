//! Read models: what the master, the API and the garbage collector ask of the ledger. Nothing
//! here changes state.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Ledger;
use super::file::FileVersion;
use super::job::Job;
use super::member::{Cluster, ClusterState, Member, Role};
use super::project::Project;
use crate::types::{ContentId, JobId, PeerName, ProjectName, RaftId};

impl Ledger {
    /// Log index of the last entry that this state includes.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Clients may write.
    pub fn is_open(&self) -> bool {
        self.cluster.state == ClusterState::Open
    }

    /// All nodes that ever joined and are remembered, removed ones included, by raft id.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    pub fn member(&self, id: RaftId) -> Option<&Arc<Member>> {
        self.members.get(&id)
    }

    /// The member, not removed, with this peer id.
    pub fn member_of_peer(&self, peer: &PeerName) -> Option<&Arc<Member>> {
        self.members.values().find(|m| !m.removed && &m.peer == peer)
    }

    /// Members that keep this cluster's id durably and were not removed.
    pub fn bound_members(&self) -> usize {
        self.members.values().filter(|m| m.bound && !m.removed).count()
    }

    /// Everyone whose vote counts: the union of the voter sets in force.
    pub fn voters(&self) -> BTreeSet<RaftId> {
        self.voter_sets.iter().flatten().copied().collect()
    }

    /// Voters keep all files, and so do those who may take a seat.
    pub fn keeps_files(&self, id: RaftId) -> bool {
        let standby = self.member(id).is_some_and(|member| member.standby && !member.removed);
        standby || self.voter_sets.iter().any(|set| set.contains(&id))
    }

    /// What the node is to the cluster.
    pub fn role(&self, id: RaftId) -> Role {
        match self.member(id) {
            _ if self.voter_sets.iter().any(|set| set.contains(&id)) => Role::Voter,
            Some(member) if member.standby => Role::Standby,
            _ => Role::Worker,
        }
    }

    /// One set, or two while the membership changes: a quorum is a majority of each.
    pub fn voter_sets(&self) -> &[BTreeSet<RaftId>] {
        &self.voter_sets
    }

    pub fn project(&self, name: &ProjectName) -> Option<&Arc<Project>> {
        self.projects.get(name)
    }

    /// By name.
    pub fn projects(&self) -> impl Iterator<Item = &Arc<Project>> {
        self.projects.values()
    }

    /// One version of a file, the newest when `version` is absent.
    pub fn file(
        &self,
        project: &ProjectName,
        path: &str,
        version: Option<u64>,
    ) -> Option<&Arc<FileVersion>> {
        let versions = self.files.versions(project, path)?;
        match version {
            Some(version) => versions.get(&version),
            None => versions.last_key_value().map(|(_, newest)| newest),
        }
    }

    /// All versions of a file, oldest first.
    pub fn file_versions<'a>(
        &'a self,
        project: &ProjectName,
        path: &str,
    ) -> impl Iterator<Item = &'a Arc<FileVersion>> + use<'a> {
        self.files.versions(project, path).into_iter().flat_map(|versions| versions.values())
    }

    /// The newest version of each file of a project, by path.
    pub fn files<'a>(
        &'a self,
        project: &ProjectName,
    ) -> impl Iterator<Item = &'a Arc<FileVersion>> + use<'a> {
        self.files.newest(project)
    }

    pub fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.jobs.get(id)
    }

    /// All jobs, newest first.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.newest_first()
    }

    /// Jobs that have not ended, oldest first: what the master works on.
    pub fn live_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.live()
    }

    /// Every blob that must be kept: files, what live jobs run, reports, sealed ticks.
    pub fn referenced(&self) -> BTreeSet<ContentId> {
        let mut all: BTreeSet<ContentId> = self.files.contents().cloned().collect();
        for job in self.jobs.newest_first() {
            if !job.status.is_terminal() {
                all.extend(job.spec.files.values().cloned());
            }
            all.extend(job.artifacts.values().cloned());
            all.extend(job.sealed.iter().map(|sealed| sealed.content.clone()));
        }
        all
    }
}
