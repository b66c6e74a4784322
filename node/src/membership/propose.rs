//! Writes and reads through the master: here where this node leads, else at the master. Says within
//! seconds why nothing can be written, and which link is cut where others reach a master that this
//! node does not: what it passed on through one of them it could not read back itself.

use std::time::Duration;

use onrush_raft::consensus::ProposeError;
use onrush_raft::ledger::command::{Caller, Command, Proposal};
use onrush_raft::ledger::outcome::Rejection;
use onrush_raft::types::PeerName;
use tokio::time::{Instant, sleep, timeout};

use super::handle::{Applied, Cluster as _, ClusterError};
use super::member::{Bound, Membership, unexpected};
use super::service;
use crate::net::MeshError;
use crate::wire::{ClusterReply, ClusterRequest};

/// How long a leader is looked for beyond two of the longest election time-outs: a fail-over.
const LEADER_WAIT_MORE: Duration = Duration::from_millis(400);
/// Pause before a leader is looked for again.
const LEADER_RETRY: Duration = Duration::from_millis(50);
/// The whole of a write. Whoever asked has its reason within five seconds.
const WRITE_MAX: Duration = Duration::from_millis(4_300);
/// What others know of a master is asked for the answer's words only.
const WORDS_TIMEOUT: Duration = Duration::from_millis(500);
/// A question to another node that needs no commit.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a read waits for what it must see.
const READ_MAX: Duration = Duration::from_secs(4);
/// The same for a read that would rather be stale than late.
const CATCH_UP_MAX: Duration = Duration::from_millis(1_500);

impl Membership {
    pub(super) async fn propose_somehow(
        &self,
        by: &Caller,
        command: Command,
    ) -> Result<Applied, ClusterError> {
        let at = self.config.clock.unix_ms();
        let proposal = Proposal { at, by: by.clone(), command };
        match timeout(WRITE_MAX, self.propose_until_led(&proposal)).await {
            Ok(Err(ClusterError::Rejected(Rejection::Forming))) => Err(ClusterError::NoLeader(
                self.forming().unwrap_or_else(|| self.no_leader_words()),
            )),
            Ok(Err(ClusterError::NoQuorum(why))) => {
                Err(ClusterError::NoQuorum(format!("{why}; {}", self.reach())))
            }
            Ok(result) => result,
            Err(_) => Err(ClusterError::NoQuorum(format!(
                "not committed within {WRITE_MAX:?}; {}; it may still be carried out",
                self.reach()
            ))),
        }
    }

    async fn propose_until_led(&self, proposal: &Proposal) -> Result<Applied, ClusterError> {
        let began = Instant::now();
        loop {
            let bound = self.require_bound()?;
            if let Some(result) = self.propose_directly(&bound, proposal).await {
                return result;
            }
            if began.elapsed() >= self.leader_wait() {
                return Err(self.cut_off(&bound).await.unwrap_or_else(|| self.no_leader()));
            }
            sleep(LEADER_RETRY).await;
        }
    }

    /// One try: here where this node leads, else at the leader. `None`: certainly not carried out,
    /// another leader may be found.
    async fn propose_directly(
        &self,
        bound: &Bound,
        proposal: &Proposal,
    ) -> Option<Result<Applied, ClusterError>> {
        let leadership = self.leadership().borrow().clone();
        if leadership.leader == Some(bound.raft_id) {
            return service::outcome(bound.consensus.propose(proposal.clone()).await);
        }
        let (cluster, proposal) = (bound.cluster.clone(), Box::new(proposal.clone()));
        let request = ClusterRequest::Propose { cluster, proposal };
        self.propose_at(&leadership.peer?, &request).await
    }

    async fn propose_at(
        &self,
        peer: &PeerName,
        request: &ClusterRequest,
    ) -> Option<Result<Applied, ClusterError>> {
        match self.ask(peer, request, WRITE_MAX).await {
            Ok(ClusterReply::Applied { index, result }) => Some(
                result.map(|outcome| Applied { index, outcome }).map_err(ClusterError::Rejected),
            ),
            Ok(ClusterReply::NotLeader(_) | ClusterReply::NotMember)
            | Err(MeshError::NotConnected(_)) => None,
            Ok(ClusterReply::NoQuorum(why)) => Some(Err(ClusterError::NoQuorum(why))),
            Ok(ClusterReply::NoRoom(why)) => Some(Err(ClusterError::NoRoom(why))),
            Ok(ClusterReply::Failed(why)) => Some(Err(ClusterError::Internal(why))),
            Ok(other) => Some(Err(unexpected(&other))),
            Err(error) => Some(Err(ClusterError::NoQuorum(error.to_string()))),
        }
    }

    /// The index that a read must wait for to see all that is committed now.
    async fn read_index(&self, bound: &Bound) -> Result<u64, ClusterError> {
        let leadership = self.leadership().borrow().clone();
        if leadership.leader == Some(bound.raft_id) {
            let index = bound.consensus.linearize().await;
            return index.map_err(|error| service::cluster_error(&error));
        }
        let peer = leadership.peer.ok_or_else(|| self.no_leader())?;
        let request = ClusterRequest::ReadIndex { cluster: bound.cluster.clone() };
        match self.ask(&peer, &request, ASK_TIMEOUT).await {
            Ok(ClusterReply::Index(index)) => Ok(index),
            Ok(ClusterReply::NoQuorum(why)) => Err(ClusterError::NoQuorum(why)),
            Ok(ClusterReply::NotLeader(_) | ClusterReply::NotMember) => Err(self.no_leader()),
            Ok(other) => Err(unexpected(&other)),
            Err(error) => Err(ClusterError::NoLeader(error.to_string())),
        }
    }

    async fn read_once(&self, bound: &Bound) -> Result<(), ClusterError> {
        let index = self.read_index(bound).await?;
        let waited = bound.consensus.wait_applied(index, READ_MAX).await;
        waited.map_err(|error: ProposeError| service::cluster_error(&error))
    }

    fn leader_wait(&self) -> Duration {
        2 * Duration::from_millis(self.config.timing.election_max_ms) + LEADER_WAIT_MORE
    }

    /// A leader is waited for, as an election takes a moment.
    pub(super) async fn read_all(&self) -> Result<(), ClusterError> {
        let read = async {
            let began = Instant::now();
            loop {
                let bound = self.require_bound()?;
                match self.read_once(&bound).await {
                    Err(ClusterError::NoLeader(_)) if began.elapsed() < self.leader_wait() => {
                        sleep(LEADER_RETRY).await;
                    }
                    Err(error @ ClusterError::NoLeader(_)) => {
                        return Err(self.cut_off(&bound).await.unwrap_or(error));
                    }
                    Err(ClusterError::NoQuorum(why)) => {
                        return Err(ClusterError::NoQuorum(format!("{why}; {}", self.reach())));
                    }
                    result => return result,
                }
            }
        };
        let late = || ClusterError::NoQuorum(format!("not within {READ_MAX:?}; {}", self.reach()));
        timeout(READ_MAX, read).await.unwrap_or_else(|_| Err(late()))
    }

    /// [`Membership::read_all`], but where no leader is known there is nothing to wait for.
    pub(super) async fn read_soon(&self) -> Result<(), ClusterError> {
        let bound = self.require_bound()?;
        let read = timeout(CATCH_UP_MAX, self.read_once(&bound)).await;
        read.unwrap_or_else(|_| Err(ClusterError::NoQuorum(self.reach())))
    }

    /// Another voter that hears a master which this node does not reach: who that is, and where to ask
    /// instead.
    async fn cut_off(&self, bound: &Bound) -> Option<ClusterError> {
        let request = ClusterRequest::Status { cluster: bound.cluster.clone() };
        let voters = self.connected_voters();
        let asked = voters.iter().map(|peer| async {
            match self.ask(peer, &request, WORDS_TIMEOUT).await {
                Ok(ClusterReply::Status(status)) => Some((peer.clone(), status.leader?)),
                _ => None,
            }
        });
        let answers = futures::future::join_all(asked).await;
        let (ledger, members) = (self.ledger(), self.members());
        let is_cut = |leader: &u64| {
            let peer = ledger.member(*leader).map(|member| &member.peer);
            *leader != bound.raft_id && peer.is_none_or(|peer| !voters.contains(peer))
        };
        let mut answers = answers.into_iter().flatten();
        let (via, leader) = answers.find(|(_, leader)| is_cut(leader))?;
        let master = ledger.member(leader).map_or_else(|| leader.to_string(), |m| m.name.clone());
        let via = members.into_iter().find(|member| member.peer == via.0)?;
        let me = &self.config.name;
        Some(ClusterError::NoLeader(format!(
            "the link between {me} and the master {master} is cut; {} reaches it: ask there ({})",
            via.name,
            via.api.unwrap_or_default()
        )))
    }

    /// Voters that this node is connected to.
    fn connected_voters(&self) -> Vec<PeerName> {
        let (ledger, views) = (self.ledger(), self.views());
        let peers = ledger.voters().into_iter().filter_map(|id| ledger.member(id));
        let peers = peers.map(|member| member.peer.clone());
        let is_connected = |peer: &PeerName| {
            *peer != self.config.peer && views.iter().any(|v| v.peer == *peer && v.connected)
        };
        peers.filter(is_connected).collect()
    }

    /// Which voters this node reaches, for people: `2 of 3 voters reachable from n2, not n1`.
    pub(super) fn reach(&self) -> String {
        let (ledger, connected) = (self.ledger(), self.connected_voters());
        let voters = ledger.voters();
        let members = voters.iter().filter_map(|id| ledger.member(*id));
        let there = |peer: &PeerName| *peer == self.config.peer || connected.contains(peer);
        let cut: Vec<&str> = members.filter(|m| !there(&m.peer)).map(|m| m.name.as_str()).collect();
        let (all, reached) = (voters.len(), voters.len().saturating_sub(cut.len()));
        let mut words = format!("{reached} of {all} voters reachable from {}", self.config.name);
        if !cut.is_empty() {
            words.push_str(&format!(", not {}", cut.join(", ")));
        }
        if reached <= all / 2 {
            words.push_str(&format!("; {} are needed", all / 2 + 1));
        }
        words
    }

    /// Why the cluster takes no writes yet, with what is there of what is needed.
    pub(super) fn forming(&self) -> Option<String> {
        let Some(bound) = self.bound.load_full() else {
            return self.require_bound().err().map(|error| match error {
                ClusterError::NoLeader(why) => why,
                other => other.to_string(),
            });
        };
        let ledger = bound.consensus.ledger();
        if ledger.is_open() {
            return None;
        }
        let cluster = ledger.cluster();
        let (members, voters) = (ledger.bound_members(), ledger.voters().len());
        Some(format!(
            "the cluster is forming and takes no writes yet: {members} of {} members are bound, \
             {voters} of {} voters are there",
            cluster.min_open.max(1),
            cluster.voters_to_open()
        ))
    }

    pub(super) fn no_leader(&self) -> ClusterError {
        ClusterError::NoLeader(self.forming().unwrap_or_else(|| self.no_leader_words()))
    }

    fn no_leader_words(&self) -> String {
        let since = self.raft_status().leaderless_ms;
        let since = since.map(|ms| format!(" for {:.1} s", ms_to_s(ms))).unwrap_or_default();
        let leader = self.leadership().borrow().peer.clone();
        let known = leader.and_then(|peer| self.ledger().member_of_peer(&peer).cloned());
        match known {
            Some(master) => {
                format!("the master {} cannot be reached; {}", master.name, self.reach())
            }
            None => format!("no master is known to this node{since}; {}", self.reach()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ms_to_s(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
