//! The bounds of the mesh, in one place.

use std::time::Duration;

/// One request or answer on a lane: a message of 8 MiB and its headers.
pub(super) const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024 + 4096;
/// Requests that wait to be written on one lane.
pub(super) const LANE_QUEUE: usize = 256;
/// Requests without an answer yet on one lane.
pub(super) const LANE_PENDING: usize = 1_024;
/// Requests of one inbound lane that are handled at once, where their order does not matter.
pub(super) const LANE_CONCURRENCY: usize = 32;
/// Inbound streams that are served at once, over all peers.
pub(super) const INBOUND_STREAMS: usize = 1_024;
/// An opened stream must be accepted by the application within this time.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two tries to open one stream; up to as much again is added at random.
pub(super) const OPEN_RETRY: Duration = Duration::from_millis(50);
/// Reading and answering a hello.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const HELLO_BYTES_MAX: usize = 64 * 1024;
pub(super) const HELLO_TRIES: u32 = 3;
/// A hello that is heard before its connection is of that connection if it is no older.
pub(super) const EARLY_HELLO_MS: u64 = 2_000;
/// The TCP connection alone: what takes longer is away.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Another try of the same connection begins so soon, and one waits so long for its answer: what the
/// network lost is not waited for. Both ways of the slowest link are shorter than the latter.
pub(super) const KNOCK_AGAIN: Duration = Duration::from_millis(100);
pub(super) const KNOCK_MAX: Duration = Duration::from_secs(2);
/// A connection that waits longer for the other machine's acknowledgement is dead. TCP sends five
/// times within it; what is left of a lease is enough to connect anew.
pub(super) const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(3);
/// Transport, noise and yamux together.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(4);
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(4);
/// Connections live on our long-lived streams; an idle one is no reason to part.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);
/// A node says what it is this often, and at once when that changes. With the number of nodes the
/// pause grows, so that what each has to read does not.
pub(super) const RECORD_PERIOD_MS: u64 = 2_000;
pub(super) const RECORD_PERIOD_PER_NODE_MS: u64 = 250;
/// Records published at most this often; a cluster that forms changes with each node that is seen.
pub(super) const RECORD_GAP_MS: u64 = 50;
pub(super) const RECORD_GAP_PER_NODE_MS: u64 = 10;
/// A node that hears of a new one tells it what it is, this much later and up to as much again: it may
/// know of nobody but its contact point.
pub(super) const WELCOME_MS: u64 = 500;
/// Two connections to one peer are left alone for this long: both sides must know of both. What is
/// under way on the one that goes is lost, so it goes before there is much.
pub(super) const SURPLUS_AFTER_MS: u64 = 500;
/// Commands to the swarm's task.
pub(super) const COMMANDS: usize = 256;
/// The swarm's task looks at its clock this often.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// What watchers see of ages and suspicion is at most this old.
pub(super) const VIEW_PERIOD_MS: u64 = 1_000;
/// Changes of the view are told at most this often, and a millisecond more for each node in it.
pub(super) const VIEW_GAP_MS: u64 = 20;
/// Nodes remembered.
pub(super) const PEERS_MAX: usize = 1_024;
/// A node that is not connected is forgotten after this silence.
pub(super) const FORGET_AFTER_MS: u64 = 24 * 3_600 * 1_000;
/// First and longest pause between two tries of one contact point or peer.
pub(super) const DIAL_FIRST_MS: u64 = 250;
pub(super) const DIAL_MAX_MS: u64 = 10_000;
/// A node that has just gone is tried at the shortest pause for this long: its shards' leases run.
pub(super) const DIAL_EAGER_MS: u64 = 10_000;
/// The node with the larger peer id leaves the dialling to the other for this long.
pub(super) const DIAL_YIELD_MS: u64 = 1_000;
/// Dials started in one round of the dialler.
pub(super) const DIALS_PER_ROUND: usize = 32;
/// The dialler's rounds.
pub(super) const DIAL_ROUND: Duration = Duration::from_millis(250);
/// The same where everyone known is connected, and only contact points are left to try.
pub(super) const DIAL_ROUND_QUIET: Duration = Duration::from_secs(1);
/// Connections: being made by others, made in all, made per peer. Two per peer is the least that
/// lets simultaneous dials end well; a dead one may linger beside them.
pub(super) const PENDING_INCOMING: u32 = 64;
pub(super) const ESTABLISHED: u32 = 512;
pub(super) const ESTABLISHED_PER_PEER: u32 = 4;
/// Substreams of one connection.
pub(super) const STREAMS_PER_CONNECTION: usize = 256;
