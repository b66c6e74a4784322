//! `onrush node`: checks the flags, starts a node, and runs it until it is told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use tokio::runtime::{Builder, Runtime};

use super::exit::{Exit, fail};
use super::{Global, tell};
use crate::clock::Clock;
use crate::config::{
    self, EXPECT_MAX, LogFormat, NodeConfig, RaftProfile, Secret, parse_label, parse_name,
};
use crate::membership::data_dir::{self, DataDir};
use crate::net::contact::ContactPoint;
use crate::node::{self, Ended};
use crate::telemetry;

/// Threads of consensus, membership and mesh: their own, so that load on the rest of the node does
/// not delay a heartbeat.
const CONTROL_THREADS: usize = 2;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    start: Option<Start>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give up the membership of a stopped node whose log is lost, damaged or an older copy: the log is
    /// put aside, key and files stay, and its next start joins as a new member
    Replace {
        /// The node's data directory
        #[arg(long, env = "ONRUSH_DATA_DIR", value_name = "DIR")]
        data_dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Start {
    /// Where the node keeps its key, its log and its files; created if absent
    #[arg(long, env = "ONRUSH_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Nodes to look for: host:port or multiaddr, repeatable or separated by commas; names are
    /// resolved again on each try, and this node itself may be among them
    #[arg(
        long,
        alias = "seed",
        env = "ONRUSH_CONTACT_POINTS",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        value_parser = str::parse::<ContactPoint>
    )]
    contact_points: Vec<ContactPoint>,
    /// Form a new cluster once this many nodes see each other; the number of nodes you start first
    #[arg(
        long,
        env = "ONRUSH_EXPECT",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(EXPECT_MAX))
    )]
    expect: Option<u32>,
    /// The node's name, for people
    #[arg(long, env = "ONRUSH_NAME", value_parser = parse_name)]
    name: Option<String>,
    /// The cluster's name; nodes of another name are refused
    #[arg(long, env = "ONRUSH_CLUSTER_NAME", default_value = "onrush", value_parser = parse_name)]
    cluster_name: String,
    /// Where other nodes connect
    #[arg(long, env = "ONRUSH_LISTEN", default_value = "127.0.0.1:7441", value_name = "IP:PORT")]
    listen: SocketAddr,
    /// Where the REST API and the web pages are served
    #[arg(long, env = "ONRUSH_API", default_value = "127.0.0.1:7440", value_name = "IP:PORT")]
    api: SocketAddr,
    /// What other nodes should dial, where it is not the listening address
    #[arg(
        long,
        alias = "advertise",
        env = "ONRUSH_ANNOUNCE",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        value_parser = str::parse::<ContactPoint>
    )]
    announce: Vec<ContactPoint>,
    /// The secret that admits nodes ('onrush secret new'); the same on all of them
    #[arg(long, env = "ONRUSH_CLUSTER_SECRET_FILE", value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// The token that the API asks for
    #[arg(long, env = "ONRUSH_API_TOKEN_FILE", value_name = "FILE")]
    api_token_file: Option<PathBuf>,
    /// A label that jobs can ask for, repeatable or separated by commas
    #[arg(
        long = "label",
        env = "ONRUSH_LABELS",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = parse_label
    )]
    labels: Vec<(String, String)>,
    /// How fast a silent master is replaced; the same on all nodes
    #[arg(long, env = "ONRUSH_RAFT_PROFILE", value_enum, default_value_t)]
    raft_profile: RaftProfile,
    #[arg(long, env = "ONRUSH_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// A level, or a filter such as 'onrush_node::net=debug,info'
    #[arg(long, env = "ONRUSH_LOG_LEVEL", default_value = "info")]
    log_level: String,
}

pub fn run(_: &Global, args: Args) -> anyhow::Result<ExitCode> {
    match args {
        Args { action: Some(Action::Replace { data_dir }), .. } => replace(&data_dir),
        Args { start: Some(start), .. } => serve(start),
        Args { .. } => Err(fail(Exit::Usage, "a node needs its --data-dir")),
    }
}

fn replace(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let refuse = |error: data_dir::Error| fail(Exit::Config, error.to_string());
    if !data_dir.is_dir() {
        let why = format!("data directory {}: there is none", data_dir.display());
        return Err(fail(Exit::NoInput, why));
    }
    let dir = DataDir::open(data_dir, Duration::ZERO).map_err(refuse)?;
    let left = dir.replace(Clock::default().unix_ms()).map_err(refuse)?;
    let Some(left) = left else {
        let why = format!("{}: this node belongs to no cluster", data_dir.display());
        return Err(fail(Exit::NoInput, why));
    };
    tell(format!(
        "this node gave up its membership of cluster {} ({}); its log is put aside beside the new one. \
         Start it as before: it joins as a new member, and a seat that it had as a voter goes to a node \
         that has caught up (this one, most likely)",
        left.cluster_name, left.cluster
    ));
    Ok(Exit::Ok.into())
}

fn serve(args: Start) -> anyhow::Result<ExitCode> {
    let (format, level) = (args.log_format, args.log_level.clone());
    telemetry::init(format, &level).map_err(|why| fail(Exit::Usage, why))?;
    let config = resolve(args).map_err(|error| fail(Exit::Config, error.to_string()))?;
    let control = runtime("control", CONTROL_THREADS)?;
    let main = runtime("node", std::thread::available_parallelism().map_or(2, Into::into).max(2))?;
    let ended = main.block_on(node::run(config, control.handle().clone()));
    let code = match ended {
        Ok(Ended::Stopped) => Exit::Ok,
        Ok(Ended::Killed) => Exit::Interrupted,
        Ok(Ended::Fatal(reason)) => {
            tell(format!("onrush: this node must stop: {reason}"));
            Exit::Internal
        }
        Err(error) => return Err(fail(Exit::Config, chain(&error))),
    };
    main.shutdown_background();
    control.shutdown_background();
    Ok(code.into())
}

fn runtime(name: &str, threads: usize) -> anyhow::Result<Runtime> {
    let built = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(format!("onrush-{name}"))
        .enable_all()
        .build();
    built.context("the system gives no threads")
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

fn resolve(args: Start) -> Result<NodeConfig, config::Error> {
    let secret = args.cluster_secret_file.as_deref().map(Secret::from_file).transpose()?;
    let api_token = args.api_token_file.as_deref().map(config::token_from_file).transpose()?;
    let secret = config::check_exposure(args.listen, args.api, secret, api_token.as_deref())?;
    Ok(NodeConfig {
        data_dir: args.data_dir,
        name: args.name.unwrap_or_default(),
        cluster_name: args.cluster_name,
        listen: args.listen,
        api: args.api,
        announce: args.announce,
        expect: config::effective_expect(args.expect, &args.contact_points),
        contacts: args.contact_points,
        secret,
        api_token,
        labels: args.labels.into_iter().collect::<BTreeMap<_, _>>(),
        timing: args.raft_profile.timing(),
    })
}
