//! The verdict: what the test said about the target, apart from how the run ended. Pure.
//!
//! Doubt comes first: figures of a generator that set the pace itself, or of only a part of the
//! load, neither pass nor fail a target.

use super::frame::GeneratorHealth;
use super::summary::{AssertionResult, Generator, LostPart, ScenarioRow, Verdict, VerdictValue};

/// A second in which the 99th percentile of lateness is above this is flagged.
pub const LATENESS_P99_MAX_US: u64 = 100_000;
/// A second in which an engine thread was held up for longer is flagged.
pub const LOOP_LAG_MAX_US: u64 = 250_000;
/// A second in which the hypervisor took more of the machine than this, in percent, is flagged where
/// it shows: users were started later than this, or an engine thread woke up as late. What is taken
/// in slices that nothing waits for sets no pace.
pub const STEAL_MAX_PERCENT: f32 = 20.0;
/// How late it must be for stolen time to show: a judgement, not a measurement, and half of
/// [`LATENESS_P99_MAX_US`].
pub const STEAL_SHOWS_US: u64 = 50_000;
/// The generator is saturated when at least this share of its seconds is flagged …
pub const FLAGGED_SHARE_MAX_PERCENT: u64 = 10;
/// … and at least so many.
pub const FLAGGED_SECONDS_MIN: u64 = 3;

/// Why the generator and not the target set the pace in a second; empty when it did not.
#[must_use]
pub fn flags(health: &GeneratorHealth) -> Vec<&'static str> {
    let stolen = health.steal_percent > STEAL_MAX_PERCENT
        && health.lateness_p99_us.max(health.loop_lag_max_us) > STEAL_SHOWS_US;
    let checks = [
        (health.lateness_p99_us > LATENESS_P99_MAX_US, "users were started late"),
        (health.dropped > 0, "arrivals were dropped"),
        (health.local_errors > 0, "the generator ran out of ports or descriptors"),
        (health.loop_lag_max_us > LOOP_LAG_MAX_US, "an engine thread was held up"),
        (stolen, "the hypervisor took CPU time away"),
    ];
    checks.into_iter().filter_map(|(bad, why)| bad.then_some(why)).collect()
}

/// Whether so many flagged seconds of so many put the run in doubt.
#[must_use]
pub fn saturated(flagged: u64, measured: u64) -> bool {
    flagged >= FLAGGED_SECONDS_MIN && flagged * 100 >= measured * FLAGGED_SHARE_MAX_PERCENT
}

/// The verdict of a run that sent `requests` requests.
#[must_use]
pub fn judge(
    requests: u64,
    generator: &Generator,
    lost: &[LostPart],
    assertions: &[AssertionResult],
) -> Verdict {
    let verdict = |value, reason: String| Verdict { value, reason };
    if requests == 0 {
        return verdict(VerdictValue::Inconclusive, "no request was sent".into());
    }
    if let Some(part) = lost.iter().find(|part| !part.made_up) {
        let node = if part.node.is_empty() { String::new() } else { format!(" on {}", part.node) };
        let reason = format!("shard {}{node} was lost and not made up for", part.shard);
        return verdict(VerdictValue::Inconclusive, reason);
    }
    if generator.saturated {
        let worst = generator.reasons.iter().max_by_key(|(_, seconds)| **seconds);
        let why = worst.map_or("", |(why, _)| why.as_str());
        let (flagged, all) = (generator.flagged_seconds, generator.measured_seconds);
        let on = generator.worst_node().map(|node| format!(", most of all {node}"));
        let on = on.unwrap_or_default();
        let reason =
            format!("the generator was saturated in {flagged} of {all} seconds{on}: {why}");
        return verdict(VerdictValue::Inconclusive, reason);
    }
    let failed = assertions.iter().filter(|result| !result.passed).count();
    let made_up = made_up(lost);
    let verdict = |value, reason: String| Verdict { value, reason: format!("{reason}{made_up}") };
    match (assertions.len(), failed) {
        (0, _) => verdict(VerdictValue::None, "the simulation has no assertions".into()),
        (1, 0) => verdict(VerdictValue::Passed, "the assertion holds".into()),
        (all, 0) => verdict(VerdictValue::Passed, format!("all {all} assertions hold")),
        (all, failed) => {
            let s = if all == 1 { "" } else { "s" };
            verdict(VerdictValue::Failed, format!("{failed} of {all} assertion{s} failed"))
        }
    }
}

/// The verdict of a run that was not carried through, for this reason: none, whatever assertions would
/// say of a part of the plan; and how much of it there was.
#[must_use]
pub fn unjudged(why: &str, scenarios: &[ScenarioRow]) -> Verdict {
    let started: u64 = scenarios.iter().map(|row| row.started).sum();
    let planned: Option<u64> = scenarios.iter().map(|row| row.planned).sum();
    let users = match planned {
        _ if scenarios.is_empty() => String::new(),
        Some(planned) => format!("{started} of {planned} planned users started"),
        None => format!("{started} users started"),
    };
    let parts = [why, &users].into_iter().filter(|part| !part.is_empty());
    Verdict { value: VerdictValue::None, reason: parts.collect::<Vec<_>>().join("; ") }
}

/// What the reader of a verdict must know of losses that were made up for.
fn made_up(lost: &[LostPart]) -> String {
    let Some(first) = lost.first() else { return String::new() };
    let users: u64 = lost.iter().map(|part| part.users_in_flight).sum();
    let missed: u64 = lost.iter().map(|part| part.arrivals_missed).sum();
    let what = match lost.len() {
        1 if first.node.is_empty() => format!("load of shard {} was lost", first.shard),
        1 => format!("load of shard {} on {} was lost", first.shard, first.node),
        count => format!("load was lost {count} times"),
    };
    format!("; {what} and made up for: {users} users lost, {missed} arrivals missed")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once five of eighty seconds were "Passed".
    #[test]
    fn a_run_that_was_not_carried_through_has_none() {
        let row = |planned, started| ScenarioRow { planned, started, ..ScenarioRow::default() };
        let cases = [
            (vec![], "interrupted"),
            (
                vec![row(Some(300), 20), row(Some(100), 5)],
                "interrupted; 25 of 400 planned users started",
            ),
            (vec![row(Some(300), 20), row(None, 5)], "interrupted; 25 users started"),
        ];
        for (rows, reason) in cases {
            let verdict = unjudged("interrupted", &rows);
            assert_eq!((verdict.value, &*verdict.reason), (VerdictValue::None, reason));
        }
        assert_eq!(unjudged("", &[row(Some(3), 1)]).reason, "1 of 3 planned users started");
    }

    #[test]
    fn verdicts() {
        use VerdictValue::{Failed, Inconclusive, None, Passed};
        let result = |passed| AssertionResult { passed, ..AssertionResult::default() };
        let (good, bad) = (result(true), result(false));
        let fine = Generator::default();
        let busy = Generator {
            saturated: true,
            flagged_seconds: 4,
            measured_seconds: 20,
            reasons: [("arrivals were dropped".to_owned(), 4)].into(),
            ..Generator::default()
        };
        let nodes = [("c".to_owned(), 1), ("b".to_owned(), 3), ("d".to_owned(), 3)].into();
        let named = Generator { nodes, ..busy.clone() };
        let lost = |made_up| LostPart { shard: 2, node: "b".into(), made_up, ..Default::default() };
        let table = [
            (0, &fine, vec![], vec![good.clone()], Inconclusive, "no request was sent"),
            (
                1,
                &fine,
                vec![lost(false)],
                vec![bad.clone()],
                Inconclusive,
                "shard 2 on b was lost and not made up for",
            ),
            (
                1,
                &fine,
                vec![lost(true)],
                vec![good.clone()],
                Passed,
                "the assertion holds; load of shard 2 on b was lost and made up for: 0 users lost, \
                 0 arrivals missed",
            ),
            (
                1,
                &busy,
                vec![],
                vec![bad.clone()],
                Inconclusive,
                "the generator was saturated in 4 of 20 seconds: arrivals were dropped",
            ),
            (
                1,
                &named,
                vec![],
                vec![],
                Inconclusive,
                "the generator was saturated in 4 of 20 seconds, most of all b: arrivals were dropped",
            ),
            (1, &fine, vec![], vec![], None, "the simulation has no assertions"),
            (1, &fine, vec![], vec![good.clone(), good.clone()], Passed, "all 2 assertions hold"),
            (1, &fine, vec![], vec![good, bad.clone()], Failed, "1 of 2 assertions failed"),
            (1, &fine, vec![], vec![bad], Failed, "1 of 1 assertion failed"),
        ];
        for (requests, generator, lost, assertions, value, reason) in table {
            let verdict = judge(requests, generator, &lost, &assertions);
            assert_eq!((verdict.value, verdict.reason.as_str()), (value, reason));
        }
    }

    #[test]
    fn a_few_flagged_seconds_are_no_saturation() {
        let cases = [(0, 0, false), (2, 2, false), (3, 30, true), (3, 31, false), (9, 90, true)];
        for (flagged, measured, expected) in cases {
            assert_eq!(saturated(flagged, measured), expected, "{flagged} of {measured}");
        }
        assert!(flags(&GeneratorHealth::default()).is_empty());
        let dropped = GeneratorHealth { dropped: 1, ..GeneratorHealth::default() };
        assert_eq!(flags(&dropped), ["arrivals were dropped"]);
    }

    /// Once each such second was flagged, and runs in which every user came in time were in doubt.
    #[test]
    fn stolen_time_counts_where_it_shows() {
        let of = |steal_percent, lateness_p99_us, loop_lag_max_us| {
            flags(&GeneratorHealth {
                steal_percent,
                lateness_p99_us,
                loop_lag_max_us,
                ..GeneratorHealth::default()
            })
        };
        let stolen = ["the hypervisor took CPU time away"];
        assert!(of(45.0, 900, 49_000).is_empty());
        assert!(of(19.0, 90_000, 90_000).is_empty());
        assert_eq!(of(21.0, 50_001, 0), stolen);
        assert_eq!(of(21.0, 0, 50_001), stolen);
    }
}
