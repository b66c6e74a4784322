//! How data is shown: tables for people, JSON (the REST body) for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Global, say, tell};

/// A table without lines; the header in capitals.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| if cell.is_empty() { "-" } else { cell }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        say(line.trim_end())?;
    }
    Ok(())
}

/// The REST body, indented.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?)
}

/// A hint below a table, for people only.
pub fn hint(global: &Global, text: impl std::fmt::Display) {
    if !global.quiet && !global.is_json() {
        tell(format!("hint: {text}"));
    }
}

/// `34ms`, `12.4s`, `3m05s`, `2h05m`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{}h{:02}m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Microseconds as people read response times: `812us`, `34ms`, `1.24s`.
#[must_use]
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        _ => format!("{}.{:02}s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// `1.2GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count}B");
    }
    let mut tenths = u128::from(count) * 10;
    let mut unit = "B";
    for name in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1_024;
        unit = name;
    }
    format!("{}.{}{unit}", tenths / 10, tenths % 10)
}

/// `48,211`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The first characters of a digest or peer id, enough to tell them apart.
#[must_use]
pub fn short(text: &str) -> String {
    const HEAD: usize = 4;
    const TAIL: usize = 4;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= HEAD + TAIL + 1 {
        return text.to_owned();
    }
    let head: String = chars[..HEAD].iter().collect();
    let tail: String = chars[chars.len() - TAIL..].iter().collect();
    format!("{head}…{tail}")
}

/// `2026-11-23T03:37:39.120Z` as `2026-11-23 03:37:39`.
#[must_use]
pub fn time(rfc3339: &str) -> String {
    let text = rfc3339.split('.').next().unwrap_or(rfc3339);
    text.trim_end_matches('Z').replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(duration(34), "34ms");
        assert_eq!(duration(12_480), "12.4s");
        assert_eq!(duration(185_000), "3m05s");
        assert_eq!(duration(7_500_000), "2h05m");
        assert_eq!(micros(812), "812us");
        assert_eq!(micros(34_900), "34ms");
        assert_eq!(micros(1_245_000), "1.24s");
        assert_eq!(bytes(1_023), "1023B");
        assert_eq!(bytes(1_536), "1.5KiB");
        assert_eq!(bytes(13_002_342), "12.3MiB");
        assert_eq!(thousands(48_211), "48,211");
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(short("12D3KooWabcQa"), "12D3…bcQa");
        assert_eq!(short("node"), "node");
        assert_eq!(time("2026-11-23T03:37:39.120Z"), "2026-11-23 03:37:39");
    }
}
