//! The statistics table as CSV: one line per row of the summary, times in milliseconds.

use onrush_scenario::stats::summary::{RowKind, Summary};

const HEADER: [&str; 18] = [
    "kind",
    "path",
    "total",
    "ok",
    "ko",
    "ko_percent",
    "per_second",
    "min_ms",
    "p50_ms",
    "p75_ms",
    "p95_ms",
    "p99_ms",
    "p99_9_ms",
    "max_ms",
    "mean_ms",
    "std_dev_ms",
    "ok_p95_ms",
    "ko_p95_ms",
];

/// With a header line; quoted as RFC 4180 says. A path's parts are joined by ` / `; a cell that a
/// spreadsheet would take for a formula begins with an apostrophe.
#[must_use]
pub fn csv(summary: &Summary) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |record: &[String]| {
        writer.write_record(record).expect("every record has the header's length, in memory");
    };
    write(&HEADER.map(str::to_owned));
    for row in &summary.rows {
        let kind = match row.kind {
            RowKind::Global => "global",
            RowKind::Group => "group",
            RowKind::Request => "request",
        };
        let (all, stats) = (&row.stats.all, &row.stats);
        let mut record = vec![kind.to_owned(), inert(&super::path_label(&row.path))];
        record.extend([all.count, stats.ok.count, stats.ko.count].map(|n| n.to_string()));
        record.extend([stats.ko.percent, all.per_second].map(|value| format!("{value:.3}")));
        let times = [
            all.min_us,
            all.p50_us,
            all.p75_us,
            all.p95_us,
            all.p99_us,
            all.p999_us,
            all.max_us,
            all.mean_us,
            all.std_dev_us,
            stats.ok.p95_us,
            stats.ko.p95_us,
        ];
        record.extend(times.map(milliseconds));
        write(&record);
    }
    let bytes = writer.into_inner().expect("writing into memory does not fail");
    String::from_utf8(bytes).expect("every field is text")
}

fn milliseconds(us: Option<u64>) -> String {
    us.map_or_else(String::new, |us| format!("{}.{:03}", us / 1_000, us % 1_000))
}

fn inert(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use onrush_scenario::stats::summary::{Numbers, Row, Stats};

    use super::*;

    #[test]
    fn one_line_per_row() {
        let all = Numbers { count: 3, p50_us: Some(1_234), ..Numbers::default() };
        let stats = Stats { all, ..Stats::default() };
        let path = vec!["=cmd()".to_owned(), "a,\"b".to_owned()];
        let row = Row { kind: RowKind::Request, path, stats, duration: None };
        let text = csv(&Summary { rows: vec![row], ..Summary::default() });
        let expected = "request,\"'=cmd() / a,\"\"b\",3,0,0,0.000,0.000,,1.234,,,,,,,,,";
        assert_eq!(text.lines().nth(1), Some(expected));
    }
}
