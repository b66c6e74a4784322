//! `onrush job`: submit, follow, look at, steer and end jobs. Submission is in `submit`, following in
//! `follow`, the load in `load`, the tables in `view`.

mod follow;
mod load;
mod submit;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use onrush_api::backend::LogStream;
use onrush_api::client::{Client, JobFilter, LogFilter};

use super::exit::{Exit, fail};
use super::remote::{find_job, parse_duration, with_client};
use super::{Global, output, say, tell};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Upload a simulation with all it needs, and run it
    Submit(Box<submit::Args>),
    /// Jobs, newest first
    List {
        /// Only of this project
        #[arg(long, short, env = "ONRUSH_PROJECT")]
        project: Option<String>,
        /// queued, preparing, running, finalizing, finished, aborted, failed, lost; with commas
        #[arg(long)]
        status: Option<String>,
        /// passed, failed, inconclusive, none; with commas
        #[arg(long)]
        verdict: Option<String>,
        /// Path of the simulation
        #[arg(long)]
        simulation: Option<String>,
        /// KEY or KEY:VALUE
        #[arg(long)]
        label: Option<String>,
        /// Not older than this
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        since: Option<Duration>,
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One job: shards, plan, what happened (JOB: an id, the beginning of one, or @last)
    Show { job: String },
    /// Follow a job to its end; the exit code is its verdict
    Watch {
        job: String,
        /// Stop watching after this; the job goes on
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        timeout: Option<Duration>,
    },
    /// Wait for a job's end without showing it; the exit code is its verdict
    Wait {
        job: String,
        /// Stop waiting after this; the job goes on
        #[arg(long, value_parser = parse_duration, value_name = "DURATION")]
        timeout: Option<Duration>,
    },
    /// What the shards printed
    Logs {
        job: String,
        /// Go on until the job has ended
        #[arg(long, short)]
        follow: bool,
        #[arg(long)]
        shard: Option<u32>,
        /// stdout or stderr; both by default
        #[arg(long, value_parser = parse_stream)]
        stream: Option<LogStream>,
        /// Only the last lines of each shard and stream
        #[arg(long)]
        tail: Option<u64>,
    },
    /// Change the load of a running job, on all nodes at one instant
    Load(load::Args),
    /// End a job early
    Abort {
        job: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// The report: HTML, or JSON where the output file ends in .json
    Report {
        job: String,
        /// Where to write it; - for stdout. By default JOB.html in this folder
        #[arg(short = 'O', long)]
        output: Option<PathBuf>,
    },
}

fn parse_stream(text: &str) -> Result<LogStream, String> {
    match text {
        "stdout" => Ok(LogStream::Stdout),
        "stderr" => Ok(LogStream::Stderr),
        _ => Err("stdout or stderr".to_owned()),
    }
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    with_client(global, async |client| match args.action {
        Action::Submit(args) => submit::run(global, &client, *args).await,
        Action::List { project, status, verdict, simulation, label, since, limit } => {
            let since = since.map(since_text);
            let filter = JobFilter {
                project,
                status,
                verdict,
                simulation,
                label,
                since,
                limit: Some(limit),
                ..JobFilter::default()
            };
            let page = client.jobs(&filter).await?;
            if global.is_json() {
                output::json(&page)?;
            } else {
                view::list(global, &page)?;
            }
            Ok(Exit::Ok)
        }
        Action::Show { job } => show(global, &client, &job).await,
        Action::Watch { job, timeout } => {
            let job = find_job(&client, &job).await?;
            follow::to_the_end(global, &client, job, follow::Show::Progress, timeout).await
        }
        Action::Wait { job, timeout } => {
            let job = find_job(&client, &job).await?;
            follow::to_the_end(global, &client, job, follow::Show::Nothing, timeout).await
        }
        Action::Logs { job, follow, shard, stream, tail } => {
            let job = find_job(&client, &job).await?;
            let filter = LogFilter { shard, stream, tail, follow };
            logs(global, &client, &job.id, &filter).await
        }
        Action::Load(args) => load::run(global, &client, &args).await,
        Action::Abort { job, reason } => {
            let job = find_job(&client, &job).await?;
            let job = client.abort(&job.id, &reason).await?;
            if global.is_json() {
                output::json(&job)?;
            } else {
                tell(format!("{} is told to end; it is {}", job.id, job.status.name()));
            }
            Ok(Exit::Ok)
        }
        Action::Report { job, output } => report(global, &client, &job, output).await,
    })
}

fn since_text(ago: Duration) -> String {
    let now = jiff::Timestamp::now();
    let then = jiff::SignedDuration::try_from(ago).ok().and_then(|ago| now.checked_sub(ago).ok());
    then.unwrap_or(now).to_string()
}

async fn show(global: &Global, client: &Client, name: &str) -> anyhow::Result<Exit> {
    let job = find_job(client, name).await?;
    if global.is_json() {
        output::json(&job)?;
        return Ok(Exit::Ok);
    }
    let shards = client.shards(&job.id).await?;
    let events = client.events(&job.id).await?;
    view::job(&job, &shards.items, &events.items, &client.address())?;
    Ok(Exit::Ok)
}

async fn logs(
    global: &Global,
    client: &Client,
    id: &str,
    filter: &LogFilter,
) -> anyhow::Result<Exit> {
    let mut lines = client.logs(id, filter);
    while let Some(line) = lines.next().await? {
        if global.is_json() {
            say(serde_json::to_string(&line)?)?;
        } else if filter.shard.is_some() {
            say(&line.line)?;
        } else {
            say(format!("{}/{} {}", line.shard, line.node, line.line))?;
        }
    }
    Ok(Exit::Ok)
}

async fn report(
    global: &Global,
    client: &Client,
    name: &str,
    output: Option<PathBuf>,
) -> anyhow::Result<Exit> {
    let job = find_job(client, name).await?;
    let plain = if global.is_json() { "json" } else { "html" };
    let target = output.unwrap_or_else(|| PathBuf::from(format!("{}.{plain}", job.id)));
    let form = match target.extension().and_then(|ending| ending.to_str()) {
        Some("json") => "json",
        Some("html" | "htm") => "html",
        None => plain,
        Some(other) => {
            let message = format!("a report is .html or .json, not .{other}");
            return Err(fail(Exit::Usage, message));
        }
    };
    let body = client.report(&job.id, form).await?;
    super::file::save(body, target).await?;
    if !job.status.is_terminal() {
        tell(format!("{} is {}: this is the state so far", job.id, job.status.name()));
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Action, ErrorKind> {
        let parsed = Line::try_parse_from(format!("job {line}").split_whitespace());
        parsed.map(|line| line.args.action).map_err(|error| error.kind())
    }

    #[test]
    fn submissions_are_parsed() {
        let line = "submit shop.js users=5 rate=a=b --nodes 3 --file a.csv --file b.csv \
                    --label team=x --max-duration 5m --avoid-master --follow --timeout 1h";
        let zones =
            format!("{:?}", parse("submit a.js --zone-share eu=7 --zone-share us=3").unwrap());
        assert!(zones.contains("[(\"eu\", 7), (\"us\", 3)]"), "{zones}");
        let shown = format!("{:?}", parse(line).unwrap());
        for part in [
            "(\"users\", \"5\"), (\"rate\", \"a=b\")",
            "nodes: 3",
            "extra: [\"a.csv\", \"b.csv\"]",
            "max_duration: Some(300s)",
            "avoid_master: true",
            "follow: true",
            "project: \"default\"",
            "division: Split",
        ] {
            assert!(shown.contains(part), "{part} is not in {shown}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_usage_error() {
        for (line, kind) in [
            ("submit", ErrorKind::MissingRequiredArgument),
            ("submit a.js users", ErrorKind::ValueValidation),
            ("submit a.js --max-duration 10", ErrorKind::ValueValidation),
            ("submit a.js --follow --detach", ErrorKind::ArgumentConflict),
            ("submit a.js --division half", ErrorKind::ValueValidation),
            ("submit a.js --nodes -1", ErrorKind::UnknownArgument),
            ("submit a.js --zone-share eu=0", ErrorKind::ValueValidation),
            ("submit a.js --zone-share eu=1 --nodes 2", ErrorKind::ArgumentConflict),
            ("logs x --stream engine", ErrorKind::ValueValidation),
            ("load x", ErrorKind::MissingRequiredArgument),
            ("load x --pause --resume", ErrorKind::ArgumentConflict),
            ("load x --factor twice", ErrorKind::ValueValidation),
            ("fly x", ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(parse(line).unwrap_err(), kind, "{line}");
        }
    }
}
