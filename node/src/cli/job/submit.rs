//! `onrush job submit`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use onrush_api::client::Client;
use onrush_api::routes::jobs::dto::{Division, OnNodeLoss};
use onrush_api::routes::jobs::submit::{JobRequest, SimulationRef};

use super::follow::{self, Show};
use crate::cli::exit::Exit;
use crate::cli::remote::{parse_duration, parse_pair};
use crate::cli::{Global, output, say, tell, upload};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The simulation: .js, .ts, or .json (exported graph)
    file: PathBuf,
    /// Parameters of the simulation, for getParameter
    #[arg(value_parser = parse_pair, value_name = "KEY=VALUE")]
    parameters: Vec<(String, String)>,
    /// Project
    #[arg(long, short, default_value = "default", env = "ONRUSH_PROJECT")]
    project: String,
    /// How many nodes generate the load; 0: all
    #[arg(long, default_value_t = 0)]
    nodes: u32,
    /// A title for lists and the report
    #[arg(long, default_value = "")]
    title: String,
    /// Label; repeatable
    #[arg(long, value_parser = parse_pair, value_name = "KEY=VALUE")]
    label: Vec<(String, String)>,
    /// Environment variable for getEnvironmentVariable: NAME (its value here) or NAME=VALUE
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Another file or folder that the simulation needs; repeatable
    #[arg(long = "file", value_name = "EXTRA")]
    extra: Vec<PathBuf>,
    /// Follow to the end; the exit code is the verdict. The default on a terminal
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    follow: bool,
    /// Return as soon as the job is submitted
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    /// Wait for the end without showing it. The default without a terminal
    #[arg(long)]
    wait: bool,
    /// Stop waiting after this; the job goes on
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// Repeating the same submission with the same key gives the same job
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// End the load after this at the latest
    #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
    max_duration: Option<Duration>,
    /// Of randomised profiles and feeders
    #[arg(long)]
    seed: Option<u64>,
    /// split: the load is divided among the nodes; copy: each node runs all of it
    #[arg(long, value_parser = parse_division, default_value = "split")]
    division: Division,
    /// rebalance, degrade or fail
    #[arg(long, value_parser = parse_loss, default_value = "rebalance")]
    on_node_loss: OnNodeLoss,
    /// Prefer nodes other than the master
    #[arg(long)]
    avoid_master: bool,
    /// Part of the load that a zone takes, beside other zones'; its nodes were started with --label
    /// zone=ZONE. Repeatable
    #[arg(
        long = "zone-share",
        value_parser = parse_share,
        value_name = "ZONE=SHARE",
        conflicts_with = "nodes"
    )]
    zone_shares: Vec<(String, u32)>,
    /// Record each user's scheduled and actual start
    #[arg(long)]
    record_arrivals: bool,
}

fn parse_share(text: &str) -> Result<(String, u32), String> {
    let (zone, share) = parse_pair(text)?;
    let number = share.parse().ok().filter(|share| *share > 0);
    let share = number.ok_or_else(|| format!("{share} is no share: a whole number above 0"))?;
    Ok((zone, share))
}

fn parse_division(text: &str) -> Result<Division, String> {
    match text {
        "split" => Ok(Division::Split),
        "copy" => Ok(Division::Copy),
        _ => Err("split or copy".to_owned()),
    }
}

fn parse_loss(text: &str) -> Result<OnNodeLoss, String> {
    match text {
        "rebalance" => Ok(OnNodeLoss::Rebalance),
        "degrade" => Ok(OnNodeLoss::Degrade),
        "fail" => Ok(OnNodeLoss::Fail),
        _ => Err("rebalance, degrade or fail".to_owned()),
    }
}

pub(super) async fn run(global: &Global, client: &Client, args: Args) -> anyhow::Result<Exit> {
    let bundle = upload::collect(&args.file, &args.extra)?;
    if !global.quiet {
        let files = match bundle.uploads.len() {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        tell(format!("{}: {files} for project {}", bundle.simulation, args.project));
    }
    upload::send(global, client, &args.project, &bundle.uploads).await?;
    let key = args.idempotency_key.clone().unwrap_or_else(|| ulid::Ulid::new().to_string());
    let show = match (args.follow, args.detach, args.wait) {
        (_, true, _) => None,
        (true, ..) => Some(Show::Progress),
        (.., true) => Some(Show::Nothing),
        _ if std::io::stderr().is_terminal() && !global.is_json() => Some(Show::Progress),
        _ => Some(Show::Nothing),
    };
    let (project, timeout) = (args.project.clone(), args.timeout);
    let job = client.submit(&project, &request(args, bundle), &key).await?;
    match show {
        None if global.is_json() => output::json(&job)?,
        None => {
            say(&job.id)?;
            output::hint(global, format!("onrush job watch {}", job.id));
        }
        Some(show) => {
            if !global.quiet {
                tell(format!("submitted {} through {}", job.id, client.address()));
            }
            return follow::to_the_end(global, client, job, show, timeout).await;
        }
    }
    Ok(Exit::Ok)
}

fn request(args: Args, bundle: upload::Bundle) -> JobRequest {
    let environment: BTreeMap<String, String> = args
        .env
        .iter()
        .filter_map(|given| match given.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((given.clone(), std::env::var(given).ok()?)),
        })
        .collect();
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    JobRequest {
        simulation: SimulationRef { file: bundle.simulation, version: None },
        parameters: args.parameters.into_iter().collect(),
        environment,
        files: Some(bundle.uploads.into_iter().map(|upload| upload.path).collect()),
        title: args.title,
        labels: args.label.into_iter().collect(),
        nodes: args.nodes,
        division: Some(args.division),
        on_node_loss: Some(args.on_node_loss),
        max_duration_ms: args.max_duration.map(millis),
        seed: args.seed,
        record_arrivals: args.record_arrivals,
        avoid_master: args.avoid_master,
        zone_shares: args.zone_shares.into_iter().collect(),
    }
}
