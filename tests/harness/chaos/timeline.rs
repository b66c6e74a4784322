//! What was done to the cluster, beside what the nodes said, in one order of time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use onrush_api::routes::rfc3339;

/// `2026-11-28T21:50:50.123`: the part of a time by which lines are put in order.
const TIME_CHARS: usize = 23;
/// Who did it, in a line of the timeline.
const HARNESS: &str = "chaos";

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    notes: Vec<(String, String)>,
    /// Each note is also shown as it is made.
    pub aloud: bool,
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Timeline {
    #[expect(clippy::print_stderr, reason = "asked for, at the terminal")]
    pub fn note(&mut self, what: impl Into<String>) {
        let (at, what) = (now(), what.into());
        if self.aloud {
            eprintln!("      {at} {what}");
        }
        self.notes.push((at, what));
    }

    /// How many notes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.notes.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    pub fn clear(&mut self) {
        self.notes.clear();
    }

    /// Everything between the first note and the last one, by time.
    #[must_use]
    pub fn text(&self, logs: &[(String, PathBuf)]) -> String {
        let read = |(name, path): &(String, PathBuf)| {
            (name.clone(), std::fs::read_to_string(path).unwrap_or_default())
        };
        let logs: Vec<(String, String)> = logs.iter().map(read).collect();
        merge(&self.notes, &logs)
    }

    /// Writes it beside the logs themselves.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, logs: &[(String, PathBuf)]) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("timeline.txt"), self.text(logs))?;
        for (name, path) in logs {
            // A node that was never started has no log.
            let _ = std::fs::copy(path, folder.join(format!("{name}.log")));
        }
        Ok(())
    }
}

/// The time that a line begins with, if it does.
fn time_of(line: &str) -> Option<&str> {
    let time = line.get(..TIME_CHARS)?;
    let digits = |range: std::ops::Range<usize>| {
        time.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    (digits(0..4) && time.as_bytes()[10] == b'T' && digits(20..23)).then_some(time)
}

fn merge(notes: &[(String, String)], logs: &[(String, String)]) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (at, what) in notes {
        let key = at.get(..TIME_CHARS).unwrap_or(at);
        lines.push((key.to_owned(), format!("{key} {HARNESS:>6} >>> {what}")));
    }
    let first = lines.iter().map(|(at, _)| at.clone()).min().unwrap_or_default();
    let last = lines.iter().map(|(at, _)| at.clone()).max().unwrap_or_default();
    for (name, text) in logs {
        // A line without a time belongs to the one above it.
        let mut at = String::new();
        for line in text.lines() {
            let shown = match time_of(line) {
                Some(time) => {
                    at = time.to_owned();
                    line.split_once(' ').map_or("", |(_, rest)| rest.trim_start())
                }
                None => line,
            };
            if at >= first && at <= last {
                lines.push((at.clone(), format!("{at} {name:>6} {shown}")));
            }
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::new();
    for (_, line) in lines {
        let _ = writeln!(text, "{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_logs_are_put_in_one_order() {
        let notes = [
            ("2026-11-28T21:50:01.500Z".to_owned(), "n1 is killed".to_owned()),
            ("2026-11-28T21:50:09.000Z".to_owned(), "the end".to_owned()),
        ];
        let log = "2026-11-28T21:49:59.000000Z  INFO too early\n\
                   2026-11-28T21:50:02.123456Z  WARN n1 is silent\n\
                   \x20 at line two\n\
                   2026-11-28T21:50:10.000000Z  INFO too late\n";
        let merged = merge(&notes, &[("n2".to_owned(), log.to_owned())]);
        assert_eq!(
            merged.lines().collect::<Vec<_>>(),
            [
                "2026-11-28T21:50:01.500  chaos >>> n1 is killed",
                "2026-11-28T21:50:02.123     n2 WARN n1 is silent",
                "2026-11-28T21:50:02.123     n2   at line two",
                "2026-11-28T21:50:09.000  chaos >>> the end",
            ]
        );
    }
}
