//! `#{currentDate(<pattern>)}`: the letters of Java's `DateTimeFormatter` that have a meaning
//! without a locale (English names), in UTC: every node of a cluster writes the same.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

#[derive(Debug)]
pub(super) struct Pattern(Vec<Item>);

#[derive(Debug)]
enum Item {
    Text(String),
    Field { letter: char, width: usize },
}

/// A width beyond this is a slip of the pen.
const WIDTH_MAX: usize = 9;
const FIELDS: &str = "yuMLdDHhkKmsSaEQzZXxVn";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl Pattern {
    /// # Errors
    /// An unknown letter, an unclosed quote.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut text = String::new();
        let mut chars = pattern.chars().peekable();
        while let Some(char) = chars.next() {
            if char == '\'' {
                if chars.next_if_eq(&'\'').is_some() {
                    text.push('\'');
                    continue;
                }
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => text.push('\''),
                        Some('\'') => break,
                        Some(other) => text.push(other),
                        None => {
                            return Err(format!("date pattern {pattern}: a quote is not closed"));
                        }
                    }
                }
            } else if char.is_ascii_alphabetic() {
                if !FIELDS.contains(char) {
                    return Err(format!("date pattern {pattern}: unknown letter '{char}'"));
                }
                let mut width = 1;
                while chars.next_if_eq(&char).is_some() {
                    width += 1;
                }
                if width > WIDTH_MAX {
                    return Err(format!("date pattern {pattern}: too many letters '{char}'"));
                }
                if !text.is_empty() {
                    items.push(Item::Text(std::mem::take(&mut text)));
                }
                items.push(Item::Field { letter: char, width });
            } else {
                text.push(char);
            }
        }
        if !text.is_empty() {
            items.push(Item::Text(text));
        }
        Ok(Self(items))
    }

    pub(super) fn format(&self, unix_ms: i64) -> String {
        let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let at = at.to_zoned(TimeZone::UTC).datetime();
        let mut out = String::new();
        for item in &self.0 {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field { letter, width } => field(&mut out, at, *letter, *width),
            }
        }
        out
    }
}

fn field(out: &mut String, at: DateTime, letter: char, width: usize) {
    let number = |out: &mut String, number: i64| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{number:0width$}");
    };
    let name = |out: &mut String, names: &[&'static str], number: i8| {
        let name = usize::try_from(number - 1).ok().and_then(|index| names.get(index));
        let name = name.copied().unwrap_or_default();
        out.push_str(match width {
            4 => name,
            5.. => &name[..1],
            _ => &name[..3],
        });
    };
    let hour = i64::from(at.hour());
    match letter {
        'y' | 'u' if width == 2 => number(out, i64::from(at.year()).rem_euclid(100)),
        'y' | 'u' => number(out, i64::from(at.year())),
        'M' | 'L' if width >= 3 => name(out, &MONTHS, at.month()),
        'M' | 'L' => number(out, i64::from(at.month())),
        'd' => number(out, i64::from(at.day())),
        'D' => number(out, i64::from(at.day_of_year())),
        'E' => name(out, &DAYS, at.weekday().to_monday_one_offset()),
        'Q' => number(out, i64::from((at.month() - 1) / 3 + 1)),
        'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        'H' => number(out, hour),
        'k' => number(out, if hour == 0 { 24 } else { hour }),
        'K' => number(out, hour % 12),
        'h' => number(out, if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(out, i64::from(at.minute())),
        's' => number(out, i64::from(at.second())),
        'S' => out.push_str(&format!("{:09}", at.subsec_nanosecond())[..width.min(9)]),
        'n' => number(out, i64::from(at.subsec_nanosecond())),
        'X' => out.push('Z'),
        'x' => out.push_str(match width {
            1 => "+00",
            2 | 4 => "+0000",
            _ => "+00:00",
        }),
        'Z' => out.push_str(match width {
            4 => "GMT",
            5 => "Z",
            _ => "+0000",
        }),
        // The letters are those of FIELDS: only the zone's names are left.
        _ => out.push_str(if width == 4 { "Coordinated Universal Time" } else { "UTC" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letters_of_java() {
        // 2026-11-23T04:05:06.789Z, a Monday.
        let at = 1_795_406_706_789;
        for (pattern, text) in [
            ("yyyy-MM-dd HH:mm:ss", "2026-11-23 04:05:06"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2026-11-23T04:05:06.789Z"),
            ("d/M/yy h:mm a", "23/11/26 4:05 AM"),
            ("EEE, d MMMM yyyy Z", "Mon, 23 November 2026 +0000"),
            ("EEEE DDD 'o''clock' Q", "Monday 327 o'clock 4"),
            ("''yyyyMMddHHmmssSSS", "'20261123040506789"),
            ("kk K z xxx", "04 4 UTC +00:00"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().format(at), text, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(Pattern::parse("yyyy 'open").unwrap_err().contains("not closed"));
        assert!(Pattern::parse("yyyy r").unwrap_err().contains("unknown letter 'r'"));
        assert!(Pattern::parse(&"y".repeat(20)).unwrap_err().contains("too many"));
    }
}
