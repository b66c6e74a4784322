//! A cluster of one real voter, with its log on disk, whose other members exist in the ledger and at
//! the end of in-memory streams only: what is measured is the master, not a network.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use bytes::Bytes;
use onrush_api::backend::MemberView;
use onrush_node::clock::Clock;
use onrush_node::membership::handle::{Applied, Cluster, ClusterError, Leadership};
use onrush_node::net::{DuplexStream, Mesh, MeshError, PeerView, Service};
use onrush_raft::consensus::{
    Config, Consensus, Lane, NodeInfo, ProposeError, RaftRpc, RpcError, Timing,
};
use onrush_raft::ledger::Ledger;
use onrush_raft::ledger::command::{Caller, Command, Proposal};
use onrush_raft::ledger::member::{FOUNDER, MemberCommand};
use onrush_raft::ledger::outcome::Outcome;
use onrush_raft::status::RaftStatus;
use onrush_raft::types::{ClusterId, PeerName, RaftId};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::shard::{self, Frames};

const ID: &str = "00000000000000000000000000000001";
/// Between a worker and the master.
const STREAM_BYTES: usize = 256 << 10;
const LEADER_WAIT: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Single {
    consensus: Consensus,
    clock: Clock,
    workers: Arc<Workers>,
    members: Vec<MemberView>,
    leadership: watch::Sender<Leadership>,
}

/// The nodes with the shards: each stream to one is a task on a runtime of their own.
pub(super) struct Workers {
    pub(super) runtime: Handle,
    pub(super) frames: Arc<Frames>,
}

struct Nobody;

#[async_trait]
impl RaftRpc for Nobody {
    async fn call(
        &self,
        target: RaftId,
        _: Lane,
        _: Bytes,
        _: Duration,
    ) -> Result<Bytes, RpcError> {
        Err(RpcError::Unreachable { target, why: "the only voter has no peers".to_owned() })
    }
}

fn peer(number: usize) -> PeerName {
    PeerName(format!("peer-{number:04}"))
}

fn view(number: usize) -> MemberView {
    MemberView {
        name: format!("node-{number}"),
        peer: peer(number).0,
        raft_id: None,
        addresses: Vec::new(),
        api: None,
        version: String::new(),
        role: "worker".to_owned(),
        health: "alive".to_owned(),
        labels: BTreeMap::new(),
        cores: 1,
        running_shards: 0,
        clock_ahead_ms: None,
        last_seen_ms: 0,
        rtt_us: None,
        draining: false,
        leaving: false,
    }
}

impl Single {
    /// Founds it under `dir`, open and led by this node, with so many members that run shards.
    pub(super) async fn found(
        dir: &Path,
        workers: Arc<Workers>,
        count: usize,
    ) -> anyhow::Result<Arc<Self>> {
        let (dir, timing) = (dir.join("raft"), Timing::DEFAULT);
        let config = Config { dir, id: FOUNDER, timing, must_exist: false };
        let consensus = Consensus::open(config, Arc::new(Nobody)).await?;
        consensus.initialize(NodeInfo { peer: peer(0), name: view(0).name }).await?;
        let mut leads = consensus.leadership();
        let led = tokio::time::timeout(LEADER_WAIT, leads.wait_for(|it| it.is_me)).await;
        let term = led.context("a sole voter does not lead")??.term;
        let now = Leadership { term, leader: Some(FOUNDER), peer: Some(peer(0)), local: true };
        let leadership = watch::channel(now).0;
        let members = (0..count).map(view).collect();
        let clock = Clock::default();
        let single = Arc::new(Self { consensus, clock, workers, members, leadership });
        single.fill(count).await?;
        Ok(single)
    }

    async fn fill(&self, count: usize) -> anyhow::Result<()> {
        let genesis = MemberCommand::Genesis {
            cluster: ID.into(),
            name: "bench".to_owned(),
            expect: 1,
            min_open: 1,
            founder: peer(0),
            founder_name: view(0).name,
        };
        self.apply(Command::Member(genesis)).await?;
        self.apply(Command::Member(MemberCommand::Open)).await?;
        for number in 1..count {
            let join = MemberCommand::Allocate { peer: peer(number), name: view(number).name };
            let Outcome::Allocated(raft_id) = self.apply(Command::Member(join)).await? else {
                bail!("node {number} got no id");
            };
            self.apply(Command::Member(MemberCommand::Bound { raft_ids: [raft_id].into() }))
                .await?;
        }
        Ok(())
    }

    pub(super) async fn apply(&self, command: Command) -> anyhow::Result<Outcome> {
        Ok(self.propose(&"bench".into(), command).await?.outcome)
    }

    pub(super) async fn shutdown(&self) {
        self.consensus.shutdown().await;
    }

    fn proposal(&self, by: &Caller, command: Command) -> Proposal {
        Proposal { at: self.clock.unix_ms(), by: by.clone(), command }
    }
}

fn applied(
    result: Result<onrush_raft::consensus::Applied, ProposeError>,
) -> Result<Applied, ClusterError> {
    match result {
        Ok((index, outcome)) => Ok(Applied { index, outcome: outcome? }),
        Err(error) => Err(ClusterError::NoQuorum(error.to_string())),
    }
}

#[async_trait]
impl Cluster for Single {
    fn peer(&self) -> PeerName {
        peer(0)
    }

    fn name(&self) -> String {
        view(0).name
    }

    fn raft_id(&self) -> Option<RaftId> {
        Some(FOUNDER)
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        Some(ID.into())
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn mesh(&self) -> Arc<dyn Mesh> {
        Arc::clone(&self.workers) as _
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.consensus.ledger()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.consensus.applied()
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    async fn propose(&self, by: &Caller, command: Command) -> Result<Applied, ClusterError> {
        applied(self.consensus.propose(self.proposal(by, command)).await)
    }

    async fn propose_as_master(
        &self,
        term: u64,
        command: Command,
    ) -> Result<Applied, ClusterError> {
        let proposal = self.proposal(&"master@bench".into(), command);
        applied(self.consensus.propose_as_leader(term, proposal).await)
    }

    async fn read_barrier(&self) -> Result<(), ClusterError> {
        let read = self.consensus.linearize().await;
        read.map(|_| ()).map_err(|error| ClusterError::NoQuorum(error.to_string()))
    }

    fn raft_id_of(&self, peer: &PeerName) -> Option<RaftId> {
        self.ledger().member_of_peer(peer).map(|member| member.raft_id)
    }

    fn peer_of(&self, raft_id: RaftId) -> Option<PeerName> {
        self.ledger().member(raft_id).map(|member| member.peer.clone())
    }

    fn voters(&self) -> Vec<RaftId> {
        vec![FOUNDER]
    }

    fn members(&self) -> Vec<MemberView> {
        self.members.clone()
    }

    fn raft_status(&self) -> RaftStatus {
        self.consensus.status()
    }

    async fn leader_raft_status(&self) -> Result<RaftStatus, ClusterError> {
        Ok(self.raft_status())
    }
}

#[async_trait]
impl Mesh for Workers {
    fn local(&self) -> PeerName {
        peer(0)
    }

    fn peers(&self) -> watch::Receiver<Arc<BTreeMap<PeerName, PeerView>>> {
        watch::channel(Arc::default()).1
    }

    async fn call(
        &self,
        peer: &PeerName,
        _: Service,
        _: Bytes,
        _: Duration,
    ) -> Result<Bytes, MeshError> {
        Err(MeshError::NotConnected(peer.clone()))
    }

    async fn open(&self, peer: &PeerName, service: Service) -> Result<DuplexStream, MeshError> {
        if service != Service::Control {
            return Err(MeshError::NotConnected(peer.clone()));
        }
        let (own, theirs) = tokio::io::duplex(STREAM_BYTES);
        // It ends with the stream; then the master opens another one.
        drop(self.runtime.spawn(shard::talk(theirs, Arc::clone(&self.frames))));
        Ok(Box::new(own))
    }
}
