//! The tools that are compared: how each is found, and how it runs a case. To add one: a line here,
//! its name in the cases, and its simulation in `tests/bench` where it has one.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

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
    how: How,
}

/// The runs that make one sample.
#[derive(Clone, Copy, Debug)]
enum How {
    Once,
    /// Seconds of two runs whose difference is taken, so that the start-up is left out.
    Warm(u32, u32),
    /// One run after another until the time is over, each with a number of its own in place of
    /// the seconds; what they used and did is added up.
    Chunks,
}

pub static TOOLS: &[Tool] = &[
    Tool { name: "wrk", version: |_| asked("wrk", &["-v"], "wrk"), command: wrk, how: How::Once },
    Tool { name: "onrush", version: onrush_version, command: onrush, how: How::Once },
    Tool {
        name: "onrush-rotating",
        version: onrush_version,
        command: onrush_rotating,
        how: How::Once,
    },
    Tool { name: "ab", version: |_| asked("ab", &["-V"], "Version"), command: ab, how: How::Once },
    Tool {
        name: "ab-rotating",
        version: |_| asked("ab", &["-V"], "Version"),
        command: ab_chunk,
        how: How::Chunks,
    },
    Tool {
        name: "h2load",
        version: |_| asked("h2load", &["--version"], "h2load"),
        command: h2load,
        how: How::Once,
    },
    Tool {
        name: "oha",
        version: |_| asked("oha", &["--version"], "oha"),
        command: oha,
        how: How::Once,
    },
    Tool { name: "hey", version: |_| package("hey"), command: hey, how: How::Once },
    Tool { name: "k6", version: |_| asked("k6", &["version"], "k6"), command: k6, how: How::Once },
    Tool {
        name: "locust",
        version: |_| asked("locust", &["--version"], "locust"),
        command: locust,
        how: How::Once,
    },
    Tool { name: "gatling", version: gatling_version, command: gatling, how: How::Warm(8, 24) },
    Tool {
        name: "gatling-start-up",
        version: gatling_version,
        command: |bench, case, _| gatling(bench, case, START_UP_SECONDS),
        how: How::Once,
    },
    Tool {
        name: "gatling-js",
        version: gatling_js_version,
        command: gatling_js,
        how: How::Warm(8, 24),
    },
];

/// Requests of one source address: well below the ports that it has, even where it was used before.
const CHUNK_REQUESTS: &str = "12000";
/// Addresses are not used again while their ports wait to be free.
static NEXT_CHUNK: AtomicU32 = AtomicU32::new(0);

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
        match self.how {
            How::Once => measured(seconds),
            How::Warm(short, long) => {
                let first = measured(short)?;
                Ok(measured(long)?.warm_after(&first))
            }
            How::Chunks => {
                let mut sum = Run::default();
                while sum.spread_us < u64::from(seconds) * 1_000_000 {
                    let chunk = measured(NEXT_CHUNK.fetch_add(1, Ordering::Relaxed))?;
                    anyhow::ensure!(chunk.requests > 0, "the target got nothing");
                    sum = sum.then(&chunk);
                }
                Ok(sum)
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

/// A new connection for each request, all from one address of loopback: ab has no other way to more
/// ports than one address has. The next process begins with other addresses.
fn ab_chunk(bench: &Bench, case: &Case, chunk: u32) -> Command {
    let process = std::process::id() % 4_096;
    let source = Ipv4Addr::from(0x7f40_0000 + (process << 8) + 1 + chunk).to_string();
    let users = case.users.to_string();
    let mut command = program("ab", &["-q", "-r", "-c", &users, "-n", CHUNK_REQUESTS]);
    command.args(["-B", &source]).arg(url(bench, case));
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

/// A class path with what is to be run, and the Java for it.
type Jvm = (OsString, PathBuf);

/// For the simulation in Java, compiled; `bench.sh` sets it.
fn gatling_home() -> Option<Jvm> {
    let path = std::env::var_os("BENCH_GATLING_CLASSPATH")?;
    let java = std::env::var_os("BENCH_JAVA").map_or_else(|| "java".into(), PathBuf::from);
    Some((path, java))
}

/// For the simulation that Onrush runs as well, on the host of the differential suite.
fn gatling_js_home() -> Option<Jvm> {
    let path = std::env::var_os("BENCH_GATLING_JS_CLASSPATH")?;
    Some((path, std::env::var_os("BENCH_GATLING_JS_JAVA")?.into()))
}

fn gatling_version(_: &Bench) -> Option<String> {
    version_of(gatling_home()?)
}

fn gatling_js_version(_: &Bench) -> Option<String> {
    Some(format!("its JavaScript SDK on {}", version_of(gatling_js_home()?)?))
}

fn version_of((path, java): Jvm) -> Option<String> {
    let path = path.to_string_lossy().into_owned();
    let jar = path.split(':').find(|jar| jar.contains("/gatling-core-3"))?.to_owned();
    let name = PathBuf::from(jar).file_stem()?.to_string_lossy().replace("gatling-core-", "");
    let java = asked(java.to_str()?, &["-version"], "version")?;
    Some(format!("Gatling {name}, {java}"))
}

fn gatling(bench: &Bench, case: &Case, seconds: u32) -> Command {
    on_gatling(gatling_home(), "Bench", &[], bench, case, seconds)
}

fn gatling_js(bench: &Bench, case: &Case, seconds: u32) -> Command {
    let bundle = std::env::var("BENCH_GATLING_JS_BUNDLE").unwrap_or_default();
    let options = [
        format!("-Drecorder.bundle={bundle}"),
        "--enable-native-access=ALL-UNNAMED".to_owned(),
        "--sun-misc-unsafe-memory-access=allow".to_owned(),
    ];
    on_gatling(gatling_js_home(), "Recorder$Hosted", &options, bench, case, seconds)
}

fn on_gatling(
    home: Option<Jvm>,
    simulation: &str,
    options: &[String],
    bench: &Bench,
    case: &Case,
    seconds: u32,
) -> Command {
    let (path, java) = home.unwrap_or_default();
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
    command.args(options);
    command.args(["-Xmx1G", "--add-opens=java.base/java.lang=ALL-UNNAMED", "-cp"]).arg(path);
    command.args(["io.gatling.app.Gatling", "--simulation", simulation, "--no-reports"]);
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
