//! `onrush job load`: more, less, a pause. Says from which second of the run on it holds.

use std::time::Duration;

use onrush_api::client::Client;
use onrush_api::routes::jobs::dto::Job;
use onrush_api::routes::jobs::load::LoadRequest;

use crate::cli::exit::Exit;
use crate::cli::remote::find_job;
use crate::cli::{Global, output, tell};

/// The master sets the instant in a moment; who is without a master for longer is told so.
const INSTANT_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct Args {
    /// An id, the beginning of one, or @last
    job: String,
    /// Times the rates and concurrency that the simulation says: 0.1 to 10
    #[arg(long, short, group = "change")]
    factor: Option<f64>,
    /// Start nobody new; users under way and the profile's clock go on
    #[arg(long, group = "change", conflicts_with = "resume")]
    pause: bool,
    /// Go on, with the factor before the pause or the one given
    #[arg(long, group = "change")]
    resume: bool,
}

pub(super) async fn run(global: &Global, client: &Client, args: &Args) -> anyhow::Result<Exit> {
    let job = find_job(client, &args.job).await?;
    let paused = (args.pause || args.resume).then_some(args.pause);
    let request = LoadRequest { factor: args.factor, paused };
    let job = client.change_load(&job.id, &request).await?;
    let job = with_instant(client, job).await?;
    if global.is_json() {
        output::json(&job)?;
        return Ok(Exit::Ok);
    }
    let load = &job.load;
    let what = if load.paused { "paused".to_owned() } else { format!("×{}", load.factor) };
    let last = load.changes.last();
    tell(match last.map(|last| last.at_s) {
        Some(Some(at)) => format!("{}: load {what} from {at} s of the run on", job.id),
        Some(None) => format!("{}: load {what} as soon as there is a master", job.id),
        None => format!("{}: load {what}, as it was written", job.id),
    });
    Ok(Exit::Ok)
}

async fn with_instant(client: &Client, mut job: Job) -> anyhow::Result<Job> {
    let until = tokio::time::Instant::now() + INSTANT_WITHIN;
    let is_open = |job: &Job| {
        !job.status.is_terminal() && job.load.changes.last().is_some_and(|it| it.at_s.is_none())
    };
    while is_open(&job) && tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK_AGAIN).await;
        job = client.job(&job.id).await?;
    }
    Ok(job)
}
