//! Holds a job's report against what the target saw and what was planned, to the request. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Finding, Harm};
use crate::acceptance::counts_by_name;
use crate::machine::passed_or_stolen;
use crate::target::Ids;

/// What must be true of a job after a fault, from the strictest to the mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holds {
    /// The load did not notice: passed, all of it sent, nothing lost.
    Untouched,
    /// All of it sent, nothing lost; the generator may have been held up, and say so.
    Exact,
    /// What was lost was made up for: passed, and what is missing is declared to the request.
    MadeUp,
    /// As [`Holds::MadeUp`], where there was load left when the loss became certain; if not, the
    /// verdict is in doubt because of it, and says so.
    Late,
    /// The job ended, and what it says is true.
    Accounted,
}

/// What there was to send.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    pub users: u64,
    /// The requests that each user sends, in this order.
    pub names: &'a [&'a str],
}

/// What the target saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub by_name: BTreeMap<String, u64>,
    pub ids: BTreeMap<String, Ids>,
}

/// What the report says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    by_name: BTreeMap<String, u64>,
    started: u64,
    ended: u64,
    missed: u64,
    in_flight: u64,
    coverage: String,
}

fn sum(rows: &Value, field: &str) -> u64 {
    rows.as_array().map_or(0, |rows| rows.iter().filter_map(|row| row[field].as_u64()).sum())
}

impl Said {
    fn of(summary: &Value) -> Self {
        Self {
            by_name: counts_by_name(summary).unwrap_or_default(),
            started: sum(&summary["shards"], "users_started"),
            ended: sum(&summary["shards"], "users_ended"),
            missed: sum(&summary["lost"], "arrivals_missed"),
            in_flight: sum(&summary["lost"], "users_in_flight"),
            coverage: summary["coverage"].to_string(),
        }
    }
}

/// Everything that is wrong with a finished job.
#[must_use]
pub fn check(
    planned: Planned<'_>,
    job: &Value,
    summary: &Value,
    seen: &Seen,
    holds: Holds,
) -> Vec<Finding> {
    let said = Said::of(summary);
    let mut findings = doubled(&said, seen);
    findings.extend(declared(planned, &said, seen));
    if holds <= Holds::Exact {
        findings.extend(exact(planned, &said, seen));
    }
    let verdict = &job["verdict"];
    let is_right = match holds {
        _ if passed_or_stolen(verdict) => true,
        Holds::Exact => verdict["value"] == "inconclusive",
        Holds::Late => {
            let reason = verdict["reason"].as_str().unwrap_or_default();
            verdict["value"] == "inconclusive" && reason.ends_with(NOT_MADE_UP)
        }
        Holds::Accounted => true,
        Holds::Untouched | Holds::MadeUp => false,
    };
    if !is_right {
        findings.push(Finding::new(Harm::Broken, format!("verdict {verdict}")));
    }
    findings
}

/// The verdict's reason, where a loss puts it in doubt.
const NOT_MADE_UP: &str = "was lost and not made up for";

/// Nothing twice: neither sent nor counted.
fn doubled(said: &Said, seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, ids) in seen.ids.iter().filter(|(_, ids)| !ids.doubled.is_empty()) {
        let text = format!("{name} was sent more than once by arrivals {:?}", ids.doubled);
        findings.push(Finding::new(Harm::Doubled, text));
    }
    for (name, reported) in &said.by_name {
        let sent = seen.by_name.get(name).copied().unwrap_or(0);
        if *reported > sent {
            let text = format!("{name}: {reported} are reported, the target saw {sent}");
            findings.push(Finding::new(Harm::Doubled, text));
        }
    }
    findings
}

/// What is missing is what the report says is missing.
fn declared(planned: Planned<'_>, said: &Said, seen: &Seen) -> Vec<Finding> {
    let mut texts = Vec::new();
    if said.started + said.missed != planned.users {
        texts.push(format!(
            "of {} planned arrivals {} are reported as started and {} as missed: {} are neither",
            planned.users,
            said.started,
            said.missed,
            i128::from(planned.users) - i128::from(said.started) - i128::from(said.missed)
        ));
    }
    if said.ended + said.in_flight != said.started {
        texts.push(format!(
            "{} users are reported as started, {} as ended, {} as lost in flight",
            said.started, said.ended, said.in_flight
        ));
    }
    let came = planned.names.first().and_then(|first| seen.ids.get(*first));
    let came = came.map_or(0, |ids| ids.distinct);
    // A user that was lost in flight may have begun, and its first request not have come so far.
    if planned.users.saturating_sub(came) > said.missed + said.in_flight {
        texts.push(format!(
            "{} of {} arrivals never came to the target, {} are declared missed, {} lost in flight",
            planned.users - came,
            planned.users,
            said.missed,
            said.in_flight
        ));
    }
    // A request that is not in the report was sent by a user that is declared.
    let names: BTreeSet<&String> = said.by_name.keys().chain(seen.by_name.keys()).collect();
    for name in names {
        let of = |map: &BTreeMap<String, u64>| map.get(name).copied().unwrap_or(0);
        let unreported = of(&seen.by_name).saturating_sub(of(&said.by_name));
        if unreported > said.missed + said.in_flight {
            texts.push(format!(
                "{name}: {unreported} of {} that the target saw are not reported, and {} users are \
                 declared missed, {} lost in flight",
                of(&seen.by_name),
                said.missed,
                said.in_flight
            ));
        }
    }
    texts.into_iter().map(|text| Finding::new(Harm::Lost, text)).collect()
}

/// All was sent and all was counted.
fn exact(planned: Planned<'_>, said: &Said, seen: &Seen) -> Vec<Finding> {
    let whole: BTreeMap<String, u64> =
        planned.names.iter().map(|name| ((*name).to_owned(), planned.users)).collect();
    let mut texts = Vec::new();
    if seen.by_name != whole {
        texts.push(format!("the target saw {:?}, planned were {whole:?}", seen.by_name));
    }
    if said.by_name != seen.by_name {
        texts.push(format!("the report counts {:?}, the target {:?}", said.by_name, seen.by_name));
    }
    if said.missed + said.in_flight > 0 || said.coverage != "1.0" {
        texts.push(format!(
            "{} arrivals are declared missed, {} users lost in flight, coverage {}",
            said.missed, said.in_flight, said.coverage
        ));
    }
    texts.into_iter().map(|text| Finding::new(Harm::Lost, text)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLANNED: Planned<'_> = Planned { users: 10, names: &["first", "second"] };

    fn summary(counts: [u64; 2], started: u64, ended: u64, lost: &Value) -> Value {
        let row = |name: &str, count: u64| json!({"kind": "request", "path": [name], "stats": {"all": {"count": count}}});
        json!({
            "rows": [row("first", counts[0]), row("second", counts[1])],
            "shards": [{"users_started": started, "users_ended": ended}],
            "lost": lost,
            "coverage": if lost == &json!([]) { 1.0 } else { 0.8 },
        })
    }

    fn seen(firsts: &[usize], seconds: &[usize]) -> Seen {
        let counts = crate::target::Counts::default();
        let mut by_name = BTreeMap::new();
        for (name, ids) in [("first", firsts), ("second", seconds)] {
            ids.iter().for_each(|id| counts.arrival(name, *id));
            by_name.insert(name.to_owned(), ids.len() as u64);
        }
        Seen { by_name, ids: counts.ids() }
    }

    fn found(summary: &Value, seen: &Seen, holds: Holds, verdict: &str) -> Vec<Harm> {
        let (value, reason) = verdict.split_once(": ").unwrap_or((verdict, ""));
        let job = json!({"verdict": {"value": value, "reason": reason}});
        check(PLANNED, &job, summary, seen, holds).iter().map(|finding| finding.harm).collect()
    }

    const ALL: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn a_job_that_sent_all_and_says_so_is_right() {
        let said = summary([10, 10], 10, 10, &json!([]));
        assert_eq!(found(&said, &seen(&ALL, &ALL), Holds::Untouched, "passed"), []);
        let stolen =
            "inconclusive: saturated in 4 of 14 seconds: the hypervisor took CPU time away";
        assert_eq!(found(&said, &seen(&ALL, &ALL), Holds::Untouched, stolen), []);
        assert_eq!(
            found(&said, &seen(&ALL, &ALL), Holds::Untouched, "inconclusive"),
            [Harm::Broken]
        );
        assert_eq!(found(&said, &seen(&ALL, &ALL), Holds::Exact, "inconclusive"), []);
    }

    #[test]
    fn what_is_declared_may_be_missing_and_nothing_else() {
        // Arrivals 8 and 9 never came, 7 was cut off after its first request.
        let seen = seen(&ALL[..8], &ALL[..7]);
        let lost = json!([{"arrivals_missed": 2, "users_in_flight": 1}]);
        let said = summary([8, 7], 8, 7, &lost);
        assert_eq!(found(&said, &seen, Holds::MadeUp, "passed"), []);
        assert!(found(&said, &seen, Holds::Untouched, "passed").contains(&Harm::Lost));
        // One is not declared.
        let lost = json!([{"arrivals_missed": 1, "users_in_flight": 0}]);
        let said = summary([8, 7], 8, 8, &lost);
        assert_eq!(found(&said, &seen, Holds::Accounted, "inconclusive"), [Harm::Lost; 2]);
        // One had begun, as its node said, and nothing of it came.
        let lost = json!([{"arrivals_missed": 1, "users_in_flight": 2}]);
        let said = summary([8, 7], 9, 7, &lost);
        assert_eq!(found(&said, &seen, Holds::Accounted, "inconclusive"), []);
        // A user that ran is declared missed, and one more is lost in flight than there were.
        let lost = json!([{"arrivals_missed": 3, "users_in_flight": 2}]);
        let said = summary([8, 7], 8, 7, &lost);
        assert_eq!(found(&said, &seen, Holds::Accounted, "inconclusive"), [Harm::Lost; 2]);
    }

    #[test]
    fn a_loss_that_is_certain_too_late_may_be_the_verdicts_reason_and_nothing_else() {
        let seen = seen(&ALL[..8], &ALL[..7]);
        let said = summary([8, 7], 8, 7, &json!([{"arrivals_missed": 2, "users_in_flight": 1}]));
        let lost = "inconclusive: shard 1 on n2 was lost and not made up for";
        assert_eq!(found(&said, &seen, Holds::Late, "passed"), []);
        assert_eq!(found(&said, &seen, Holds::Late, lost), []);
        let other = "inconclusive: the generator was saturated";
        assert_eq!(found(&said, &seen, Holds::Late, other), [Harm::Broken]);
        assert_eq!(found(&said, &seen, Holds::MadeUp, lost), [Harm::Broken]);
        // What is missing is declared all the same.
        let said = summary([8, 7], 8, 7, &json!([{"arrivals_missed": 1, "users_in_flight": 1}]));
        assert!(found(&said, &seen, Holds::Late, lost).contains(&Harm::Lost));
    }

    #[test]
    fn requests_that_nobody_reports_are_found() {
        let said = summary([7, 7], 10, 10, &json!([]));
        let found = found(&said, &seen(&ALL, &ALL), Holds::Accounted, "passed");
        assert_eq!(found, [Harm::Lost; 2]);
    }

    #[test]
    fn what_was_sent_or_counted_twice_is_found() {
        let said = summary([10, 10], 10, 10, &json!([]));
        let mut twice = ALL.to_vec();
        twice[9] = 8;
        let found_twice = found(&said, &seen(&ALL, &twice), Holds::Accounted, "passed");
        assert_eq!(found_twice, [Harm::Doubled]);
        let said = summary([11, 10], 10, 10, &json!([]));
        let counted = found(&said, &seen(&ALL, &ALL), Holds::Accounted, "passed");
        assert_eq!(counted, [Harm::Doubled]);
    }
}
