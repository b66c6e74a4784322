//! Numbers as people read them. Pure; the same in the report and on the terminal.

/// `5,430,600`
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three significant digits where that needs decimals: `0.31`, `4.2`, `18,214`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "only for values from 100, rounded"
)]
pub fn number(value: f64) -> String {
    let trim = |text: String| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    match value {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 99.95 => count(v.round() as u64),
        v if v >= 9.995 => trim(format!("{v:.1}")),
        v if v > 0.0 && v < 0.01 => trim(format!("{v:.3}")),
        v => trim(format!("{v:.2}")),
    }
}

/// Milliseconds without the unit, for tables; a dash for nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn ms(us: Option<u64>) -> String {
    us.map_or_else(|| "–".to_owned(), |us| number(us as f64 / 1_000.0))
}

/// `310 µs`, `12 ms`, `1.24 s`, `2 min 5 s`
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", number(us as f64 / 1e3)),
        1_000_000..120_000_000 => format!("{} s", number(us as f64 / 1e6)),
        _ => format!("{} min {} s", us / 60_000_000, us / 1_000_000 % 60),
    }
}

/// As [`time`]; a dash for nothing.
#[must_use]
pub fn time_or_dash(us: Option<u64>) -> String {
    us.map_or_else(|| "–".to_owned(), time)
}

/// `0.31 %`; what is not quite nothing is `<0.01 %`.
#[must_use]
pub fn percent(value: f64) -> String {
    match value {
        v if v > 0.0 && v < 0.01 => "<0.01 %".to_owned(),
        v if v > 99.99 && v < 100.0 => ">99.99 %".to_owned(),
        v => format!("{} %", number(v)),
    }
}

/// `84 MB`, in powers of 1,000.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn bytes(value: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut scaled, mut unit) = (value as f64, 0);
    while scaled >= 1_000.0 && unit + 1 < units.len() {
        scaled /= 1_000.0;
        unit += 1;
    }
    format!("{} {}", number(scaled), units[unit])
}

/// `01:25`, `1:02:05`
#[must_use]
pub fn clock(seconds: u64) -> String {
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m:02}:{s:02}") }
}

/// `2026-11-23 04:32:40 UTC`; empty for 0.
#[must_use]
pub fn utc(unix_ms: u64) -> String {
    if unix_ms == 0 {
        return String::new();
    }
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

/// At most `max` characters, the cut shown by `…`; control characters become spaces, so that a
/// text from outside can neither move the cursor nor break a line.
#[must_use]
pub fn one_line(text: &str, max: usize) -> String {
    let clean = |c: char| if c.is_control() || is_bidi(c) { ' ' } else { c };
    if text.chars().count() <= max {
        return text.chars().map(clean).collect();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).map(clean).collect();
    out.push('…');
    out
}

/// A text of several lines; other control characters become spaces.
#[must_use]
pub fn lines(text: &str) -> String {
    let clean = |c: char| if (c.is_control() && c != '\n') || is_bidi(c) { ' ' } else { c };
    text.replace("\r\n", "\n").chars().map(clean).collect()
}

/// Characters that reorder what is shown around them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!([0, 999, 1_000, 5_430_600].map(count), ["0", "999", "1,000", "5,430,600"]);
        let numbers = [0.0, 0.004, 0.31, 4.2, 12.34, 99.97, 18_214.4].map(number);
        assert_eq!(numbers, ["0", "0.004", "0.31", "4.2", "12.3", "100", "18,214"]);
        let times = [310, 12_000, 1_240_000, 125_000_000].map(time);
        assert_eq!(times, ["310 µs", "12 ms", "1.24 s", "2 min 5 s"]);
        assert_eq!(
            [0.0, 0.001, 0.31, 99.999, 100.0].map(percent),
            ["0 %", "<0.01 %", "0.31 %", ">99.99 %", "100 %"]
        );
        assert_eq!([0, 999, 84_000_000].map(bytes), ["0 B", "999 B", "84 MB"]);
        assert_eq!([85, 3_725].map(clock), ["01:25", "1:02:05"]);
        assert_eq!(utc(1_795_408_360_000), "2026-11-23 04:32:40 UTC");
        assert_eq!(utc(u64::MAX), "");
        assert_eq!(one_line("a\u{1b}[31mb\u{202e}c", 20), "a [31mb c");
        assert_eq!(one_line("abcdef", 4), "abc…");
    }
}
