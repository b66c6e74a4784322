//! A simulation as a tree of lines, for people: what `onrush check` prints. Names are those of the
//! SDK. Refuses nothing: a step without a line of its own shows its name.

use serde::Serialize;

use crate::el::cast;
use crate::expr::Expr;
use crate::feed::{FeederSpec, Strategy};
use crate::inject::{ClosedStep, InjectionSpec, OpenStep};
use crate::ir::{Scenario, Simulation, bodies};
use crate::protocol;
use crate::step::{PauseKind, Step};
use crate::time::Micros;

/// Deeper blocks are cut off; a script can nest without end.
const DEPTH_MAX: usize = 64;

/// A line and what is inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

/// The steps of a scenario.
#[must_use]
pub fn of(simulation: &Simulation, scenario: &Scenario) -> Vec<Node> {
    nodes(simulation, &scenario.steps, 0)
}

fn nodes(simulation: &Simulation, steps: &[Step], depth: usize) -> Vec<Node> {
    if depth > DEPTH_MAX {
        return vec![Node { text: "…".to_owned(), children: Vec::new() }];
    }
    steps.iter().map(|step| node(simulation, step, depth)).collect()
}

fn node(simulation: &Simulation, step: &Step, depth: usize) -> Node {
    let inside = |steps: &[Step]| nodes(simulation, steps, depth + 1);
    let block = |text: String, steps: &[Step]| Node { text, children: inside(steps) };
    let cases = |cases: Vec<(String, &[Step])>, or_else: &[Step]| {
        let mut children: Vec<Node> =
            cases.into_iter().map(|(text, steps)| block(text, steps)).collect();
        if !or_else.is_empty() {
            children.push(block("otherwise".to_owned(), or_else));
        }
        children
    };
    let text = line(simulation, step);
    let children = match step {
        Step::DoIf(it) => cases(vec![("then".to_owned(), &it.then)], &it.or_else),
        Step::DoIfEquals(it) => cases(vec![("then".to_owned(), &it.then)], &it.or_else),
        Step::DoSwitch(it) => {
            let named = it.cases.iter().map(|case| (format!("case {}", case.key), &*case.then));
            cases(named.collect(), &it.or_else)
        }
        Step::RandomSwitch(it) => {
            let named = it.cases.iter().map(|case| (format!("{} %", case.percent), &*case.then));
            cases(named.collect(), &it.or_else)
        }
        _ => {
            let mut open = Vec::new();
            bodies(step, &mut open);
            match &*open {
                [] => Vec::new(),
                [body] => inside(body),
                several => {
                    let named = several.iter().enumerate();
                    let named = named.map(|(index, body)| (format!("case {}", index + 1), *body));
                    cases(named.collect(), &[])
                }
            }
        }
    };
    Node { text, children }
}

fn line(simulation: &Simulation, step: &Step) -> String {
    match step {
        Step::Action(it) => format!("{}  {}", it.name, protocol::describe(it).text),
        Step::Hook(_) => "exec (function)".to_owned(),
        Step::Pause(it) => match &it.max {
            Some(max) => format!("pause {} to {}", duration(&it.duration), duration(max)),
            None => format!("pause {}{}", duration(&it.duration), kind(it.kind.as_ref())),
        },
        Step::Pace(it) => match &it.max {
            Some(max) => format!("pace {} to {}", duration(&it.duration), duration(max)),
            None => format!("pace {}", duration(&it.duration)),
        },
        Step::RendezVous(it) => format!("rendezVous {}", it.users),
        Step::Feed(it) => {
            let index = usize::try_from(it.feeder).unwrap_or(usize::MAX);
            let feeder = simulation.feeders.get(index).map_or_else(String::new, feeder);
            let count = it.count.as_ref().map(|count| format!(", {count} at a time"));
            format!("feed {feeder}{}", count.unwrap_or_default())
        }
        Step::Group(it) => format!("group {}", it.name),
        Step::Repeat(it) => format!("repeat {}", it.times),
        Step::Foreach(it) => format!("foreach {} as {}", it.seq, it.attribute),
        Step::Loop(it) => {
            let condition = it.condition.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
            let limit = it.duration.as_ref().map(|it| format!(" {}", duration(it)));
            format!("{}{condition}{}", it.name, limit.unwrap_or_default())
        }
        Step::DoIf(it) => format!("doIf {}", it.condition),
        Step::DoIfEquals(it) => format!("doIfEquals {} = {}", it.actual, it.expected),
        Step::DoSwitch(it) => format!("doSwitch {}", it.value),
        Step::TryMax(it) => format!("tryMax {}", it.times),
        Step::ExitHereIf(it) => format!("exitHereIf {}", it.condition),
        Step::SetInSession(it) => format!("setInSession {} = {}", it.attribute, it.value),
        Step::Dummy(it) => format!("{}  dummy, {} ms", it.name, it.response_time_ms),
        other => tag(other),
    }
}

/// `exit_here_if_failed` in the graph is `exitHereIfFailed` in a script.
fn tag(step: &Step) -> String {
    let json = serde_json::to_value(step).unwrap_or_default();
    let tag = json["step"].as_str().unwrap_or("step");
    let mut text = String::with_capacity(tag.len());
    let mut upper = false;
    for letter in tag.chars() {
        match letter {
            '_' => upper = true,
            letter if upper => {
                text.push(letter.to_ascii_uppercase());
                upper = false;
            }
            letter => text.push(letter),
        }
    }
    text
}

fn kind(kind: Option<&PauseKind>) -> String {
    let Some(kind) = kind else { return String::new() };
    let json = serde_json::to_value(kind).unwrap_or_default();
    let name = json.as_str().map(str::to_owned);
    let name = name.or_else(|| json.as_object()?.keys().next().cloned()).unwrap_or_default();
    format!(" ({})", name.replace('_', " "))
}

fn duration(expr: &Expr) -> String {
    match expr {
        Expr::Lit(value) => cast::to_duration_us(value).map_or_else(|_| value.to_string(), time),
        other => other.to_string(),
    }
}

/// `200ms`, `12.5s`, `3m05s`, `2h05m`.
#[must_use]
pub fn time(us: Micros) -> String {
    let ms = us / 1_000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{}h{:02}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// `csv(users.csv).circular`
#[must_use]
pub fn feeder(spec: &FeederSpec) -> String {
    let strategy = match spec.strategy {
        Strategy::Queue => "queue",
        Strategy::Random => "random",
        Strategy::Shuffle => "shuffle",
        Strategy::Circular => "circular",
    };
    format!("{}.{strategy}", spec.source.name())
}

/// The steps of a profile, one a line.
#[must_use]
pub fn profile(spec: &InjectionSpec) -> Vec<String> {
    match spec {
        InjectionSpec::Open(steps) => steps.iter().map(open).collect(),
        InjectionSpec::Closed(steps) => steps.iter().map(closed).collect(),
    }
}

fn open(step: &OpenStep) -> String {
    let random = |randomized: bool| if randomized { ", randomized" } else { "" };
    match *step {
        OpenStep::AtOnceUsers { users } => format!("atOnceUsers {users}"),
        OpenStep::NothingFor { duration_us } => format!("nothingFor {}", time(duration_us)),
        OpenStep::RampUsers { users, duration_us } => {
            format!("rampUsers {users} during {}", time(duration_us))
        }
        OpenStep::ConstantUsersPerSec { rate, duration_us, randomized } => {
            let during = time(duration_us);
            format!("constantUsersPerSec {rate} during {during}{}", random(randomized))
        }
        OpenStep::RampUsersPerSec { from, to, duration_us, randomized } => {
            let during = time(duration_us);
            format!("rampUsersPerSec {from} to {to} during {during}{}", random(randomized))
        }
        OpenStep::StressPeakUsers { users, duration_us } => {
            format!("stressPeakUsers {users} during {}", time(duration_us))
        }
        OpenStep::IncrementUsersPerSec { increment, times, level_us, ramp_us, start } => {
            let ramps = levels(times, level_us, ramp_us);
            format!("incrementUsersPerSec {increment} {ramps}, starting from {start}")
        }
    }
}

fn closed(step: &ClosedStep) -> String {
    match *step {
        ClosedStep::ConstantConcurrentUsers { users, duration_us } => {
            format!("constantConcurrentUsers {users} during {}", time(duration_us))
        }
        ClosedStep::RampConcurrentUsers { from, to, duration_us } => {
            format!("rampConcurrentUsers {from} to {to} during {}", time(duration_us))
        }
        ClosedStep::IncrementConcurrentUsers { increment, times, level_us, ramp_us, start } => {
            let ramps = levels(times, level_us, ramp_us);
            format!("incrementConcurrentUsers {increment} {ramps}, starting from {start}")
        }
    }
}

fn levels(times: u32, level_us: Micros, ramp_us: Micros) -> String {
    let ramps = if ramp_us == 0 {
        String::new()
    } else {
        format!(", separated by ramps of {}", time(ramp_us))
    };
    format!("times {times}, each level {}{ramps}", time(level_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(nodes: &[Node], depth: usize, out: &mut String) {
        for node in nodes {
            out.push_str(&format!("{}{}\n", "  ".repeat(depth), node.text));
            draw(&node.children, depth + 1, out);
        }
    }

    #[test]
    fn steps_read_as_in_the_script() {
        let steps = r##"[
            {"step": "feed", "feeder": 0},
            {"step": "exit_here_if_failed"},
            {"step": "do_if", "condition": {"el": "#{a}"}, "then": [
                {"step": "pause", "duration": {"lit": 0.2}}
            ], "or_else": [{"step": "hook", "function": 0}]},
            {"step": "uniform_random_switch", "cases": [
                [{"step": "rendez_vous", "users": 3}], []
            ]},
            {"step": "repeat", "times": {"lit": 2}, "body": [
                {"step": "action", "protocol": "http", "name": {"lit": "Home"},
                 "spec": {"method": "GET", "url": {"lit": "/"}}}
            ]}
        ]"##;
        let simulation: Simulation = serde_json::from_str(&format!(
            r#"{{"version": 1, "name": "s", "functions": 1,
                "feeders": [{{"source": {{"separated":
                    {{"path": "u.csv", "separator": ",", "quote": "\""}}}}, "strategy": "random"}}],
                "populations": [{{"scenario": {{"name": "a", "steps": {steps}}},
                    "inject": {{"open": []}}}}]}}"#
        ))
        .unwrap();
        let mut out = String::new();
        draw(&of(&simulation, &simulation.populations[0].scenario), 0, &mut out);
        let expected = "feed csv(u.csv).random\nexitHereIfFailed\ndoIf #{a}\n  then\n    pause \
                        200ms\n  otherwise\n    exec (function)\nuniformRandomSwitch\n  case 1\n    \
                        rendezVous 3\n  case 2\nrepeat 2\n  Home  GET /\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn times_read_well() {
        let read: Vec<String> =
            [200, 1_000, 12_500, 185_000, 7_500_000].map(|ms| time(ms * 1_000)).into();
        assert_eq!(read, ["200ms", "1s", "12.5s", "3m05s", "2h05m"]);
    }
}
