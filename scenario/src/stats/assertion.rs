//! Assertions: parsed from the IR, judged on a finished summary, worded as Gatling words them.
//! <https://docs.gatling.io/concepts/assertions/>

use serde::{Deserialize, Serialize};

use super::frame::Times;
use super::summary::{AssertionResult, RowKind};

/// JSON: `{"scope": …, "target": …, "condition": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionSpec {
    pub scope: Scope,
    pub target: Target,
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Global,
    ForAll,
    /// Groups, then the request; or a path of groups.
    Details(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    MinResponseTime,
    MaxResponseTime,
    MeanResponseTime,
    StdDevResponseTime,
    /// 0 to 100; `percentile1()` … `percentile4()` are 50, 75, 95, 99.
    PercentileResponseTime(f64),
    AllCount,
    AllPercent,
    FailedCount,
    FailedPercent,
    SuccessfulCount,
    SuccessfulPercent,
    MeanRequestsPerSec,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Lt(f64),
    Lte(f64),
    Gt(f64),
    Gte(f64),
    Is(f64),
    In(Vec<f64>),
    /// `around` and `deviatesAround` become this when the script is loaded.
    Between {
        min: f64,
        max: f64,
        inclusive: bool,
    },
}

/// The times behind a line of the statistics table: percentiles that the table lacks come from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasuredRow {
    pub kind: RowKind,
    pub path: Vec<String>,
    /// Of a group: the cumulated response times.
    pub ok: Times,
    pub ko: Times,
}

impl AssertionSpec {
    /// One result per path the scope stands for. `rows` begins with `Global`; requests are in the
    /// order of their first response; `window_s` is what a mean rate is divided by.
    ///
    /// As in Gatling, times are whole milliseconds, rounded half up; percentiles are those of the
    /// merged histogram, exact to 3 significant digits.
    #[must_use]
    pub fn judge(&self, rows: &[MeasuredRow], window_s: u64) -> Vec<AssertionResult> {
        match &self.scope {
            Scope::Global => vec![self.judge_row(rows.first(), &[], window_s)],
            Scope::ForAll => rows
                .iter()
                .filter(|row| row.kind == RowKind::Request)
                .map(|row| self.judge_row(Some(row), &row.path, window_s))
                .collect(),
            Scope::Details(path) => {
                let find = |kind| rows.iter().find(|row| row.kind == kind && row.path == *path);
                let row = find(RowKind::Request).or_else(|| find(RowKind::Group));
                let row = if path.is_empty() { rows.first() } else { row };
                vec![self.judge_row(row, path, window_s)]
            }
        }
    }

    fn judge_row(
        &self,
        row: Option<&MeasuredRow>,
        path: &[String],
        window_s: u64,
    ) -> AssertionResult {
        let actual = row.map(|row| self.target.of(row, window_s));
        let passed = actual.is_some_and(|actual| self.condition.holds(actual));
        let label = if path.is_empty() { "Global".to_owned() } else { path.join(" / ") };
        let (target, condition) = (self.target.to_string(), self.condition.to_string());
        let why = match actual {
            Some(actual) => format!("actual : {}", java_double(actual)),
            None => {
                format!("Could not find stats matching assertion path List({})", path.join(", "))
            }
        };
        let text = format!("{label}: {target} {condition} : {passed} ({why})");
        AssertionResult { path: label, target, condition, passed, actual, text }
    }
}

impl Target {
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    fn of(&self, row: &MeasuredRow, window_s: u64) -> f64 {
        let (ok, ko) = (row.ok.count as f64, row.ko.count as f64);
        let all = || row.ok.merged(&row.ko);
        let percent = |part: f64| if ok + ko == 0.0 { 0.0 } else { part / (ok + ko) * 100.0 };
        match self {
            Self::MinResponseTime => whole_ms(all().min_us as f64),
            Self::MaxResponseTime => whole_ms(all().max_us as f64),
            Self::MeanResponseTime => whole_ms(all().mean_us()),
            Self::StdDevResponseTime => whole_ms(all().std_dev_us()),
            Self::PercentileResponseTime(percent) => whole_ms(all().percentile_us(*percent)),
            Self::AllCount => ok + ko,
            Self::AllPercent => 100.0,
            Self::FailedCount => ko,
            Self::FailedPercent => percent(ko),
            Self::SuccessfulCount => ok,
            Self::SuccessfulPercent => percent(ok),
            Self::MeanRequestsPerSec => (ok + ko) / window_s.max(1) as f64,
        }
    }
}

fn whole_ms(us: f64) -> f64 {
    (us / 1_000.0 + 0.5).floor()
}

impl Condition {
    #[must_use]
    #[expect(clippy::float_cmp, reason = "`is` and `in` are exact equality, as in Gatling")]
    pub fn holds(&self, actual: f64) -> bool {
        match self {
            Self::Lt(bound) => actual < *bound,
            Self::Lte(bound) => actual <= *bound,
            Self::Gt(bound) => actual > *bound,
            Self::Gte(bound) => actual >= *bound,
            Self::Is(value) => actual == *value,
            Self::In(values) => values.contains(&actual),
            Self::Between { min, max, inclusive: true } => actual >= *min && actual <= *max,
            Self::Between { min, max, inclusive: false } => actual > *min && actual < *max,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::MinResponseTime => "min of response time",
            Self::MaxResponseTime => "max of response time",
            Self::MeanResponseTime => "mean of response time",
            Self::StdDevResponseTime => "standard deviation of response time",
            Self::PercentileResponseTime(percent) => {
                return write!(f, "{percent}{} percentile of response time", ordinal(*percent));
            }
            Self::AllCount => "count of all events",
            Self::AllPercent => "percentage of all events",
            Self::FailedCount => "count of failed events",
            Self::FailedPercent => "percentage of failed events",
            Self::SuccessfulCount => "count of successful events",
            Self::SuccessfulPercent => "percentage of successful events",
            Self::MeanRequestsPerSec => "mean requests per second",
        })
    }
}

fn ordinal(value: f64) -> &'static str {
    if value.fract() != 0.0 || (11.0..=13.0).contains(&value) {
        return "th";
    }
    let last = value % 10.0;
    match () {
        () if last == 1.0 => "st",
        () if last == 2.0 => "nd",
        () if last == 3.0 => "rd",
        () => "th",
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let double = |value: &f64| java_double(*value);
        match self {
            Self::Lt(bound) => write!(f, "is less than {}", double(bound)),
            Self::Lte(bound) => write!(f, "is less than or equal to {}", double(bound)),
            Self::Gt(bound) => write!(f, "is greater than {}", double(bound)),
            Self::Gte(bound) => write!(f, "is greater than or equal to {}", double(bound)),
            Self::Is(value) => write!(f, "is {}", double(value)),
            Self::In(values) => {
                let values: Vec<_> = values.iter().map(double).collect();
                write!(f, "is in List({})", values.join(", "))
            }
            Self::Between { min, max, inclusive } => {
                write!(f, "is between {} and {}", double(min), double(max))?;
                if *inclusive { f.write_str(" inclusive") } else { Ok(()) }
            }
        }
    }
}

/// As the JVM prints a double: `500.0`, `0.94`, `1.5E7`.
fn java_double(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-3..1e7).contains(&value.abs());
    if plain {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<MeasuredRow> {
        let ms = |samples: &[u64]| Times::of(samples.iter().map(|ms| ms * 1_000));
        let row = |kind, path: &[&str], ok: &[u64], ko: &[u64]| MeasuredRow {
            kind,
            path: path.iter().map(|&part| part.to_owned()).collect(),
            ok: ms(ok),
            ko: ms(ko),
        };
        vec![
            row(RowKind::Global, &[], &[10, 20, 30, 40, 100, 200], &[500]),
            row(RowKind::Group, &["G"], &[30], &[]),
            row(RowKind::Request, &["G", "R"], &[10, 20], &[]),
            row(RowKind::Request, &["S"], &[30, 40, 100, 200], &[500]),
        ]
    }

    fn check(scope: Scope, target: Target, condition: Condition, lines: &[&str]) {
        let results = AssertionSpec { scope, target, condition }.judge(&rows(), 7);
        let texts: Vec<_> = results.iter().map(|result| result.text.as_str()).collect();
        assert_eq!(texts, lines);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of inputs and lines")]
    fn lines_are_gatlings() {
        use Condition::{Between, Gt, Gte, In, Is, Lt, Lte};
        use Scope::{Details, ForAll, Global};
        let path = |parts: &[&str]| Details(parts.iter().map(|&p| p.to_owned()).collect());
        let p = Target::PercentileResponseTime;
        let around = Between { min: 7.0, max: 11.0, inclusive: true };
        let within = Between { min: 1.0, max: 2.5, inclusive: false };
        let table: Vec<(Scope, Target, Condition, &[&str])> = vec![
            (
                Global,
                Target::SuccessfulCount,
                Gt(100.0),
                &[
                    "Global: count of successful events is greater than 100.0 : false (actual : 6.0)",
                ],
            ),
            (
                Global,
                p(95.0),
                Lt(500.0),
                &[
                    "Global: 95th percentile of response time is less than 500.0 : false (actual : 500.0)",
                ],
            ),
            (
                Global,
                p(25.0),
                Is(23.0),
                &["Global: 25th percentile of response time is 23.0 : true (actual : 23.0)"],
            ),
            (
                Global,
                p(33.3),
                Gte(1.0),
                &[
                    "Global: 33.3th percentile of response time is greater than or equal to 1.0 : true (actual : 28.0)",
                ],
            ),
            (
                Global,
                p(21.0),
                Lte(10_000_000.0),
                &[
                    "Global: 21st percentile of response time is less than or equal to 1.0E7 : true (actual : 20.0)",
                ],
            ),
            (
                Global,
                Target::MeanRequestsPerSec,
                Is(1.0),
                &["Global: mean requests per second is 1.0 : true (actual : 1.0)"],
            ),
            (
                Global,
                Target::AllPercent,
                In(vec![]),
                &["Global: percentage of all events is in List() : false (actual : 100.0)"],
            ),
            (
                path(&["S"]),
                Target::FailedPercent,
                In(vec![20.0, 1.0]),
                &["S: percentage of failed events is in List(20.0, 1.0) : true (actual : 20.0)"],
            ),
            (
                path(&["G", "R"]),
                Target::MaxResponseTime,
                around,
                &[
                    "G / R: max of response time is between 7.0 and 11.0 inclusive : false (actual : 20.0)",
                ],
            ),
            (
                path(&["G"]),
                Target::MinResponseTime,
                within,
                &["G: min of response time is between 1.0 and 2.5 : false (actual : 30.0)"],
            ),
            (
                path(&["a", "b"]),
                Target::AllCount,
                Lt(1.0),
                &[
                    "a / b: count of all events is less than 1.0 : false (Could not find stats matching assertion path List(a, b))",
                ],
            ),
            (
                path(&[]),
                Target::FailedCount,
                Is(1.0),
                &["Global: count of failed events is 1.0 : true (actual : 1.0)"],
            ),
            (
                ForAll,
                Target::MeanResponseTime,
                Lt(100.0),
                &[
                    "G / R: mean of response time is less than 100.0 : true (actual : 15.0)",
                    "S: mean of response time is less than 100.0 : false (actual : 174.0)",
                ],
            ),
            (
                path(&["G", "R"]),
                Target::StdDevResponseTime,
                Is(5.0),
                &["G / R: standard deviation of response time is 5.0 : true (actual : 5.0)"],
            ),
        ];
        for (scope, target, condition, lines) in table {
            check(scope, target, condition, lines);
        }
    }

    #[test]
    fn nothing_was_sent() {
        let rows = [MeasuredRow::default()];
        let of = |target| {
            let spec =
                AssertionSpec { scope: Scope::Global, target, condition: Condition::Is(0.0) };
            spec.judge(&rows, 1)[0].actual
        };
        assert_eq!(of(Target::FailedPercent), Some(0.0));
        assert_eq!(of(Target::SuccessfulPercent), Some(0.0));
        assert_eq!(of(Target::AllPercent), Some(100.0));
        assert_eq!(of(Target::PercentileResponseTime(f64::NAN)), Some(0.0));
    }

    #[test]
    fn ordinals() {
        let suffixes: Vec<_> =
            [1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 21.0, 99.9].map(ordinal).into();
        assert_eq!(suffixes, ["st", "nd", "rd", "th", "th", "th", "th", "st", "th"]);
    }
}
