//! What the subcommands that talk to a cluster share: the client, its errors as exit codes, names
//! of jobs as people type them, durations.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use onrush_api::client::{Client, Error, JobFilter};
use onrush_api::routes::jobs::dto::Job;

use super::exit::{Exit, Failure, fail};
use super::{Global, say, tell};

/// Longest duration that is taken from the command line.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Runs a subcommand with a client. A problem that ends it is printed as JSON where JSON was asked
/// for, and its message goes to stderr in any case.
pub fn with_client<F, T>(global: &Global, work: F) -> anyhow::Result<ExitCode>
where
    F: FnOnce(Client) -> T,
    T: Future<Output = anyhow::Result<Exit>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let client = Client::new(&global.address, global.token.clone(), &who())
        .map_err(|error| failure(&error))?;
    let staleness = client.staleness();
    let done = runtime.block_on(work(client));
    let stale_ms = staleness.load(std::sync::atomic::Ordering::Relaxed);
    if stale_ms > 0 && !global.quiet {
        let age = super::output::duration(stale_ms);
        tell(format!("stale: the node that answered is cut off from the master; heard {age} ago"));
    }
    match done {
        Ok(exit) => Ok(exit.into()),
        Err(error) => {
            let Some(found) = error.downcast_ref::<Error>() else { return Err(error) };
            if let (true, Some(problem)) = (global.is_json(), found.problem()) {
                say(serde_json::to_string_pretty(problem)?)?;
            }
            Err(failure(found))
        }
    }
}

/// The client's error with its exit code.
fn failure(error: &Error) -> anyhow::Error {
    let exit = match error.exit_code() {
        64 => Exit::Usage,
        66 => Exit::NoInput,
        69 => Exit::Unavailable,
        70 => Exit::Internal,
        77 => Exit::NotAllowed,
        _ => Exit::Error,
    };
    let hint = match error {
        Error::Unreachable(_) => "; give nodes with --address or ONRUSH_ADDR",
        _ if exit == Exit::NotAllowed => "; give the token with --token or ONRUSH_TOKEN",
        _ => "",
    };
    anyhow::Error::new(Failure { exit, message: format!("{error}{hint}") })
}

/// `user@host`, for the audit trail.
fn who() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "cli".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "localhost" } else { host.trim() };
    format!("{user}@{host}")
}

/// A job by its id, a unique prefix of it, or `@last`.
pub async fn find_job(client: &Client, name: &str) -> anyhow::Result<Job> {
    if name == "@last" {
        let newest = client.jobs(&JobFilter { limit: Some(1), ..JobFilter::default() }).await?;
        let job = newest.items.into_iter().next();
        return job.ok_or_else(|| fail(Exit::NoInput, "there are no jobs yet"));
    }
    let id = if name.starts_with("job_") { name.to_owned() } else { format!("job_{name}") };
    const ID_CHARS: usize = 30;
    if id.len() >= ID_CHARS {
        return Ok(client.job(&id).await?);
    }
    let filter = JobFilter { q: Some(id.clone()), limit: Some(50), ..JobFilter::default() };
    let page = client.jobs(&filter).await?;
    let mut found: Vec<Job> =
        page.items.into_iter().filter(|job| job.id.starts_with(&id)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(job), true) => Ok(job),
        (Some(_), false) => {
            Err(fail(Exit::Usage, format!("{name} is the beginning of several jobs' ids")))
        }
        (None, _) => Err(fail(Exit::NoInput, format!("no job's id begins with {name}"))),
    }
}

/// `30s`, `5m`, `1h30m`, `250ms`: for clap.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration: expected like 30s, 5m, 1h; at most 168h");
    let mut rest = text;
    let mut total = 0_u128;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        total = total.saturating_add(u128::from(number) * unit_ms);
        rest = &rest[end..];
    }
    let ms = u64::try_from(total).map_err(|_| bad())?;
    let duration = Duration::from_millis(ms);
    if duration.is_zero() || duration > DURATION_MAX { Err(bad()) } else { Ok(duration) }
}

/// `key=value`, for clap.
pub fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not key=value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["10", "-5s", "1e99h", "NaN", "", "0s", "169h", "5 m", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_have_a_key() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parse_pair("=b").is_err());
        assert!(parse_pair("ab").is_err());
    }
}
