//! What Gatling did, from the facts that `tests/oracle/gatling/Recorder.java` wrote.

use anyhow::Context as _;
use serde_json::Value;

use super::form::Outcome;

/// Recordings are those of this version; `tests/oracle/gatling/pom.xml` installs it.
pub const VERSION: &str = "3.16.0";

/// # Errors
/// Facts of another form than the recorder writes.
pub fn outcome(facts: &Value) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let events = facts["events"].as_array().context("events")?;
    for event in events {
        note(&mut outcome, event.as_array().context("an event is an array")?)?;
    }
    let console = facts["console"].as_str().context("console")?;
    outcome.assertions =
        console.lines().filter(|line| is_assertion(line)).map(str::to_owned).collect();
    for plan in facts["offsets"].as_array().context("offsets")? {
        let offsets = plan.as_array().context("a plan")?.iter().filter_map(Value::as_u64);
        outcome.offsets.push(offsets.map(|at| at / 1_000).collect());
    }
    outcome.exit = match facts["exit"].as_i64() {
        None => "endless".to_owned(),
        Some(1) if events.is_empty() => "refused".to_owned(),
        Some(1) => "crashed".to_owned(),
        Some(code) => code.to_string(),
    };
    if ["refused", "crashed"].contains(&outcome.exit.as_str()) {
        outcome.message = message(console);
    }
    Ok(outcome)
}

/// The innermost cause of a crash, without the class.
fn message(console: &str) -> Option<String> {
    let crash = console.lines().rfind(|line| line.starts_with("[crash] "))?;
    let text = crash.strip_prefix("[crash] ")?;
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    let text = text.strip_prefix("requirement failed: ").unwrap_or(text);
    // The place of an argument that the log line of a crash leaves empty.
    Some(text.strip_suffix(" {}").unwrap_or(text).to_owned())
}

fn is_assertion(line: &str) -> bool {
    [" : true (", " : false ("].iter().any(|mark| line.contains(mark)) && line.ends_with(')')
}

fn note(outcome: &mut Outcome, event: &[Value]) -> anyhow::Result<()> {
    let text = |at: usize| event.get(at).and_then(Value::as_str).unwrap_or_default();
    let number = |at: usize| event.get(at).and_then(Value::as_u64).unwrap_or_default();
    let groups = |at: usize| -> Vec<String> {
        let list = event.get(at).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    match text(0) {
        "User" if event.get(3) == Some(&Value::Bool(true)) => {
            *outcome.users.entry(text(1).to_owned()).or_default() += 1;
        }
        "User" => {}
        "Response" => {
            let mut path = groups(2);
            path.push(text(3).to_owned());
            let tally = outcome.requests.entry(path.join(" / ")).or_default();
            if text(6) == "OK" {
                tally.ok += 1;
            } else {
                tally.ko += 1;
            }
            if let Some(message) = event.get(8).and_then(Value::as_str) {
                *outcome.errors.entry(message.to_owned()).or_default() += 1;
            }
        }
        "Group" => {
            let tally = outcome.groups.entry(groups(2).join(" / ")).or_default();
            if text(6) == "OK" {
                tally.ok += 1;
            } else {
                tally.ko += 1;
            }
            tally.duration_ms += number(4).saturating_sub(number(3));
            tally.cumulated_ms += number(5);
        }
        "Error" => *outcome.errors.entry(text(1).to_owned()).or_default() += 1,
        "Init" | "Flush" | "Stop" | "Crash" => {}
        other => anyhow::bail!("an event of kind {other:?}"),
    }
    Ok(())
}
