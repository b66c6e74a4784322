//! The tools that are compared: how each is found, and how it runs a case. To add one: a line here,
//! its name in the cases, and its simulation in `tests/bench` where it has one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::cases::Case;
use super::files;
use super::measure::{Bench, Run};

/// A load generator.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    /// None where it is not installed.
    pub version: fn(&Bench) -> Option<String>,
    command: fn(&Bench, &Case, u32) -> Command,
    /// Seconds of the two runs whose difference is taken, where the start-up is to be left out.
    warm: Option<(u32, u32)>,
}

pub static TOOLS: &[Tool] = &[
    Tool { name: "wrk", version: |_| asked("wrk", &["-v"], "wrk"), command: wrk, warm: None },
    Tool { name: "onrush", version: onrush_version, command: onrush, warm: None },
    Tool { name: "onrush-rotating", version: onrush_version, command: onrush_rotating, warm: None },
    Tool { name: "ab", version: |_| asked("ab", &["-V"], "Version"), command: ab, warm: None },
    Tool {
        name: "h2load",
        version: |_| asked("h2load", &["--version"], "h2load"),
        command: h2load,
        warm: None,
    },
    Tool {
        name: "oha",
        version: |_| asked("oha", &["--version"], "oha"),
        command: oha,
        warm: None,
    },
    Tool { name: "hey", version: |_| package("hey"), command: hey, warm: None },
    Tool { name: "k6", version: |_| asked("k6", &["version"], "k6"), command: k6, warm: None },
    Tool {
        name: "locust",
        version: |_| asked("locust", &["--version"], "locust"),
        command: locust,
        warm: None,
    },
    Tool { name: "gatling", version: gatling_version, command: gatling, warm: Some((8, 24)) },
    Tool {
        name: "gatling-start-up",
        version: gatling_version,
        command: |bench, case, _| gatling(bench, case, START_UP_SECONDS),
        warm: None,
    },
];

/// What Gatling's start-up is spread over where it is counted.
const START_UP_SECONDS: u32 = 15;

impl Tool {
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, bench: &Bench, case: &Case, seconds: u32) -> anyhow::Result<Run> {
        let measured = |seconds| bench.measure((self.command)(bench, case, seconds));
        match self.warm {
            None => measured(seconds),
            Some((short, long)) => {
                let first = measured(short)?;
                Ok(measured(long)?.warm_after(&first))
            }
        }
    }
}

/// The first line with that word in what the program says of itself.
fn asked(program: &str, arguments: &[&str], word: &str) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find(|line| line.contains(word)).map(|line| line.trim().to_owned())
}

/// For a tool that does not tell its version.
fn package(name: &str) -> Option<String> {
    Command::new(name).arg("-h").output().ok()?;
    let query = Command::new("dpkg-query").args(["-W", "-f", "${Version}", name]).output().ok()?;
    Some(format!("{name} {}", String::from_utf8_lossy(&query.stdout)))
}

fn onrush_version(bench: &Bench) -> Option<String> {
    asked(bench.onrush.to_str()?, &["--version"], "onrush")
}

fn url(bench: &Bench, case: &Case) -> String {
    format!("{}{}", bench.url_of(case.is_http2()), case.path)
}

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

fn wrk(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (case.users.to_string(), format!("{seconds}s"));
    program("wrk", &["-t1", "-c", &users, "-d", &seconds, &url(bench, case)])
}

fn ab(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (case.users.to_string(), seconds.to_string());
    let mut command = program("ab", &["-q", "-r", "-c", &users, "-t", &seconds, "-n", "100000000"]);
    if case.keeps_alive() {
        command.arg("-k");
    }
    command.arg(url(bench, case));
    command
}

fn h2load(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (case.users.to_string(), seconds.to_string());
    let mut command = program("h2load", &["-t1", "-c", &users, "-m1", "-D", &seconds]);
    if !case.is_http2() {
        command.arg("--h1");
    }
    command.arg(url(bench, case));
    command
}

fn oha(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (case.users.to_string(), format!("{seconds}s"));
    let mut command = program("oha", &["--no-tui", "-c", &users, "-z", &seconds]);
    if case.is_http2() {
        command.args(["--http2", "--insecure"]);
    }
    command.arg(url(bench, case));
    command
}

fn hey(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (case.users.to_string(), format!("{seconds}s"));
    program("hey", &["-c", &users, "-z", &seconds, &url(bench, case)])
}

fn k6(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let mut command = program("k6", &["run", "--quiet", "--no-usage-report"]);
    command.arg(files().join("k6.js")).envs(environment(bench, case, seconds));
    command
}

fn locust(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, time) = (case.users.to_string(), format!("{seconds}s"));
    let host = bench.url();
    let mut command = program("locust", &["--headless", "--only-summary", "--host", &host]);
    command.args(["-u", &users, "-r", &users, "-t", &time, "-f"]);
    command.arg(files().join("locustfile.py")).envs(environment(bench, case, seconds));
    command
}

fn environment(bench: &Bench, case: &Case, seconds: u32) -> [(&'static str, String); 4] {
    [
        ("CASE", case.kind().to_owned()),
        ("TARGET", bench.url()),
        ("USERS", case.users.to_string()),
        ("SECONDS", seconds.to_string()),
    ]
}

/// Its class path, with the compiled simulation; `bench.sh` sets it.
fn gatling_home() -> Option<(OsString, PathBuf)> {
    let path = std::env::var_os("BENCH_GATLING_CLASSPATH")?;
    let java = std::env::var_os("BENCH_JAVA").map_or_else(|| "java".into(), PathBuf::from);
    Some((path, java))
}

fn gatling_version(_: &Bench) -> Option<String> {
    let (path, java) = gatling_home()?;
    let path = path.to_string_lossy().into_owned();
    let jar = path.split(':').find(|jar| jar.contains("/gatling-core-3"))?.to_owned();
    let name = PathBuf::from(jar).file_stem()?.to_string_lossy().replace("gatling-core-", "");
    let java = asked(java.to_str()?, &["-version"], "version")?;
    Some(format!("Gatling {name}, {java}"))
}

fn gatling(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (path, java) = gatling_home().unwrap_or_default();
    let mut command = Command::new(java);
    let results = bench.scratch.join("gatling");
    for (key, value) in [
        ("case", case.kind().to_owned()),
        ("target", bench.url()),
        ("users", case.users.to_string()),
        ("seconds", seconds.to_string()),
    ] {
        command.arg(format!("-D{key}={value}"));
    }
    command.args(["-Dgatling.http.warmUpUrl=", "-Dgatling.data.enableAnalytics=false"]);
    command.args(["-Xmx1G", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-cp"]).arg(path);
    command.args(["io.gatling.app.Gatling", "--simulation", "Bench", "--no-reports"]);
    command.arg("--results-folder").arg(results);
    command
}

/// From 64 source addresses of loopback, so that the ports do not run out.
fn onrush_rotating(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (format!("users={}", case.users), format!("seconds={seconds}"));
    bench.onrush_run("rotating", &[users, seconds])
}

fn onrush(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let (users, seconds) = (format!("users={}", case.users), format!("seconds={seconds}"));
    bench.onrush_run(case.kind(), &[users, seconds])
}
