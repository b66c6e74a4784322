//! `onrush raft status`: the consensus group, by the leader's view, or else by that of the node that
//! answers, which then says so.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use onrush_api::client::Client;
use onrush_api::routes::raft::{Peer, Status};

use super::exit::Exit;
use super::output::{self, duration, thousands};
use super::remote::with_client;
use super::{Global, say};

const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Home, and clear to the end: the table is drawn over the last one.
const REDRAW: &str = "\u{1b}[H\u{1b}[2J";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Term, leader, log and peers
    Status {
        /// Ask this node for its own view, leader or not
        #[arg(long)]
        stale: bool,
        /// Again every second
        #[arg(long)]
        watch: bool,
        /// Print nothing; exit 0 only if a leader is known and a quorum is reachable
        #[arg(long, conflicts_with = "watch")]
        health: bool,
    },
    /// The digest of this node's state: nodes that applied the same index have the same one
    Digest,
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Status { stale, watch, health } => run_status(global, stale, watch, health),
        Action::Digest => with_client(global, async |client| {
            let found = client.raft_digest().await?;
            if global.is_json() {
                output::json(&found)?;
            } else {
                say(format!("{}  index {}  {}", found.node, found.applied_index, found.digest))?;
            }
            Ok(Exit::Ok)
        }),
    }
}

fn run_status(global: &Global, stale: bool, watch: bool, health: bool) -> anyhow::Result<ExitCode> {
    with_client(global, async |client| {
        if !watch {
            let status = client.raft_status(stale).await?;
            if !health {
                show(global, &client, &status)?;
            }
            let well = !health || matches!(status.health.as_str(), "healthy" | "degraded");
            return Ok(if well { Exit::Ok } else { Exit::Unavailable });
        }
        loop {
            let asked = client.raft_status(stale).await;
            if !global.is_json() {
                say(REDRAW)?;
            }
            match asked {
                Ok(status) => show(global, &client, &status)?,
                // Watching is for times when nodes go and come back.
                Err(error) => say(error)?,
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_EVERY) => {}
                _ = tokio::signal::ctrl_c() => return Ok(Exit::Ok),
            }
        }
    })
}

fn show(global: &Global, client: &Client, status: &Status) -> anyhow::Result<()> {
    if global.is_json() {
        return output::json(status);
    }
    for line in head(status, &client.address()) {
        say(line)?;
    }
    say("")?;
    let header = [
        "NODE",
        "ID",
        "ADDRESS",
        "STATE",
        "ROLE",
        "MATCH INDEX",
        "TRAILS LEADER BY",
        "LAST CONTACT",
        "HEALTH",
    ];
    output::table(&header, status.peers.iter().map(|peer| peer_row(status, peer)))
}

/// The lines above the table.
fn head(status: &Status, address: &str) -> Vec<String> {
    let leader = match (&status.leader_name, status.leaderless_ms) {
        (Some(name), _) => format!("Leader  {name}"),
        (None, Some(ms)) => format!("Leader  none known for {}", duration(ms)),
        (None, None) => "Leader  none known".to_owned(),
    };
    let name = if status.cluster_name.is_empty() { "onrush" } else { &status.cluster_name };
    let ack = match (status.quorum_ack_ms, status.leader) {
        (Some(ms), _) => format!("      Quorum ack  {} ago", duration(ms)),
        (None, _) => String::new(),
    };
    let index = |at: Option<u64>| at.map_or_else(|| "-".to_owned(), thousands);
    let changing = if status.membership_changing { " · membership is changing" } else { "" };
    let mut lines = vec![
        format!("Cluster    {name} ({})      {leader}   Term {}", status.cluster, status.term),
        format!(
            "Health     {} — {}{changing}{ack}",
            status.health.to_uppercase(),
            status.health_detail
        ),
        format!(
            "Log        last {} · commit {} · applied {} · snapshot {} · purged {}",
            thousands(status.last_log_index),
            thousands(status.committed_index),
            thousands(status.applied_index),
            index(status.snapshot_index),
            index(status.purged_index),
        ),
    ];
    let state = match status.state.as_str() {
        state @ "learner" => format!("{state}, {}", status.role),
        state => state.to_owned(),
    };
    let own = format!("View       of {} ({state}), asked through {address}", status.view_of);
    lines.push(match &status.warning {
        None => own,
        Some(warning) => format!("{own}\nwarning    this node's own view only: {warning}"),
    });
    lines
}

fn peer_row(status: &Status, peer: &Peer) -> Vec<String> {
    let is_leader = status.leader == Some(peer.id);
    let ago = |ms: u64| duration(ms);
    let trails = peer.lag.filter(|_| !is_leader).map(|lag| match lag {
        1 => "1 entry".to_owned(),
        n => format!("{} entries", thousands(n)),
    });
    let contact = peer.last_contact_ms.filter(|_| !is_leader).map(ago);
    let itself = peer.id == status.node;
    let health = match peer.health.as_str() {
        _ if itself => "ok",
        "alive" => "ok",
        "suspect" => "suspect",
        "dead" => "unreachable",
        other => other,
    };
    vec![
        if itself { format!("{} *", peer.name) } else { peer.name.clone() },
        output::short(&peer.peer),
        peer.addresses.first().cloned().unwrap_or_default(),
        peer.state.clone(),
        peer.role.clone(),
        peer.match_index.map(|at| at.to_string()).unwrap_or_default(),
        trails.unwrap_or_default(),
        contact.unwrap_or_default(),
        health.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            view_of: "node-a".to_owned(),
            health: "healthy".to_owned(),
            health_detail: "3 of 3 voters reachable".to_owned(),
            cluster: "8f3c".to_owned(),
            cluster_name: "prod".to_owned(),
            node: 1,
            state: "follower".to_owned(),
            term: 12,
            leader: Some(2),
            leader_name: Some("node-b".to_owned()),
            last_log_index: 48_211,
            committed_index: 48_211,
            applied_index: 48_210,
            ..Status::default()
        }
    }

    #[test]
    fn the_head_names_leader_term_and_view() {
        let lines = head(&status(), "http://127.0.0.1:7440");
        assert_eq!(lines[0], "Cluster    prod (8f3c)      Leader  node-b   Term 12");
        assert_eq!(lines[1], "Health     HEALTHY — 3 of 3 voters reachable");
        assert!(lines[2].contains("commit 48,211 · applied 48,210 · snapshot -"));
        assert!(lines[3].starts_with("View       of node-a (follower)"));
    }

    #[test]
    fn without_a_quorum_the_time_is_told() {
        let lost = Status {
            leader: None,
            leader_name: None,
            leaderless_ms: Some(12_400),
            warning: Some("no leader".to_owned()),
            ..status()
        };
        let lines = head(&lost, "http://a:1");
        assert!(lines[0].contains("Leader  none known for 12.4s"), "{}", lines[0]);
        assert!(lines[3].contains("this node's own view only: no leader"), "{}", lines[3]);
    }

    #[test]
    fn a_follower_that_trails_is_shown_with_its_lag() {
        let peer = Peer {
            id: 3,
            name: "node-c".to_owned(),
            match_index: Some(47_102),
            lag: Some(1_109),
            last_contact_ms: Some(12_400),
            health: "dead".to_owned(),
            ..Peer::default()
        };
        let row = peer_row(&status(), &peer);
        assert_eq!(row[6], "1,109 entries");
        assert_eq!(row[7], "12.4s");
        assert_eq!(row[8], "unreachable");
    }
}
