//! `onrush cluster`: the nodes, as the node that answers sees them.

use std::process::ExitCode;

use clap::Subcommand;
use onrush_api::backend::MemberView;

use super::exit::Exit;
use super::remote::with_client;
use super::{Global, output, say, tell};
use crate::worker::offset::SKEW_WARN_MS;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All nodes: role, health, addresses, version
    Members,
    /// The cluster in a few lines
    Status,
    /// Take a node off the list that will not come back; refused while it votes
    Forget {
        /// Its name or its id
        node: String,
    },
    /// Give a node no new shards, and hand over those it has: nothing of the load is missed
    Drain {
        /// Its name or its id
        node: String,
    },
    /// Let a drained node work again
    Undrain {
        /// Its name or its id
        node: String,
    },
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    with_client(global, async |client| {
        match args.action {
            Action::Members => {
                let members = client.members().await?;
                if global.is_json() {
                    output::json(&members)?;
                } else {
                    show_members(&members.items)?;
                    if !global.quiet {
                        let node = client.version().await?.node;
                        tell(format!("as {node} ({}) sees it", client.address()));
                    }
                }
            }
            Action::Status => {
                let view = client.cluster().await?;
                if global.is_json() {
                    output::json(&view)?;
                    return Ok(Exit::Ok);
                }
                let leader = view.leader.as_deref().unwrap_or("none known");
                say(format!("Cluster  {} ({})", view.name, view.id))?;
                say(format!("Health   {} - {}", view.health.to_uppercase(), view.health_detail))?;
                say(format!("Leader   {leader}, term {}", view.term))?;
                let counts = view.members;
                say(format!(
                    "Nodes    {} alive, {} suspect, {} dead",
                    counts.alive, counts.suspect, counts.dead
                ))?;
                let jobs = view.jobs;
                say(format!(
                    "Jobs     {} queued, {} active, {} ended",
                    jobs.queued, jobs.active, jobs.ended
                ))?;
                if !global.quiet {
                    tell(format!("as {} ({}) sees it", view.node, client.address()));
                }
            }
            Action::Drain { node } => {
                client.drain_member(&node, true).await?;
                if !global.quiet {
                    tell(format!("{node} gets no new shards; what it runs goes to the others"));
                }
            }
            Action::Undrain { node } => {
                client.drain_member(&node, false).await?;
                if !global.quiet {
                    tell(format!("{node} works again"));
                }
            }
            Action::Forget { node } => {
                client.forget_member(&node).await?;
                if !global.quiet {
                    tell(format!("{node} is forgotten; if it still runs, it joins anew"));
                }
            }
        }
        Ok(Exit::Ok)
    })
}

fn show_members(members: &[MemberView]) -> anyhow::Result<()> {
    let header = [
        "NODE",
        "ID",
        "ADDRESS",
        "API",
        "ROLE",
        "HEALTH",
        "CORES",
        "SHARDS",
        "CLOCK",
        "VERSION",
        "LABELS",
        "LAST SEEN",
    ];
    output::table(&header, members.iter().map(member_row))?;
    let count = |health: &str| members.iter().filter(|member| member.health == health).count();
    let parts: Vec<String> = ["alive", "suspect", "dead"]
        .iter()
        .filter(|health| count(health) > 0)
        .map(|health| format!("{} {health}", count(health)))
        .collect();
    let noun = if members.len() == 1 { "node" } else { "nodes" };
    say(format!("{} {noun}: {}", members.len(), parts.join(", ")))?;
    for member in members {
        let ahead = member.clock_ahead_ms.filter(|ms| ms.unsigned_abs() > SKEW_WARN_MS);
        if let Some(ahead) = ahead.filter(|_| member.health != "dead") {
            let (name, by) = (&member.name, clock(ahead));
            say(format!("warning: the wall clock of {name} is {by} from the master's"))?;
        }
    }
    Ok(())
}

/// `+0.0 s`, ahead of the master's.
fn clock(ahead_ms: i64) -> String {
    let sign = if ahead_ms < 0 { '-' } else { '+' };
    let ms = ahead_ms.unsigned_abs();
    format!("{sign}{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

fn member_row(member: &MemberView) -> Vec<String> {
    let labels: Vec<String> =
        member.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    vec![
        member.name.clone(),
        output::short(&member.peer),
        member.addresses.first().cloned().unwrap_or_default(),
        member.api.clone().unwrap_or_default(),
        member.role.clone(),
        if member.draining || member.leaving {
            format!("{}, draining", member.health)
        } else {
            member.health.clone()
        },
        member.cores.to_string(),
        if member.health == "dead" { String::new() } else { member.running_shards.to_string() },
        member.clock_ahead_ms.map(clock).unwrap_or_default(),
        member.version.clone(),
        labels.join(","),
        format!("{} ago", output::duration(member.last_seen_ms)),
    ]
}
