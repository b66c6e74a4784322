//! What people read of a [`Summary`]: the HTML report, the end block on a terminal, Markdown, CSV.
//! Pure functions. Names and error texts may be hostile: HTML is made by `maud`, which escapes
//! whatever is put into it, and the page may neither run a script nor load anything.

use onrush_scenario::stats::summary::{LoadStep, Summary, VerdictValue};

mod chart;
mod csv;
pub mod format;
mod html;
mod markdown;
mod plots;
mod tables;
#[cfg(test)]
mod tests;
mod text;

pub use csv::csv;
pub use html::html;
pub use markdown::markdown;
pub use text::text;

/// The summary as indented JSON.
#[must_use]
pub fn json(summary: &Summary) -> String {
    let mut text =
        serde_json::to_string_pretty(summary).expect("a summary has only text keys and numbers");
    text.push('\n');
    text
}

/// What came of a run, in a word.
struct Outcome {
    /// Of the style sheet.
    class: &'static str,
    icon: &'static str,
    word: &'static str,
    /// It was not carried through: there is no verdict.
    unfinished: bool,
}

/// The verdict, or how the run ended where there can be none.
fn outcome(summary: &Summary) -> Outcome {
    let unfinished = |icon, word| Outcome { class: "none", icon, word, unfinished: true };
    let verdict = |class, icon, word| Outcome { class, icon, word, unfinished: false };
    match (&*summary.status, summary.verdict.value) {
        ("aborted", _) => unfinished("■", "Aborted"),
        ("failed", _) => unfinished("■", "Run failed"),
        ("lost", _) => unfinished("■", "Run lost"),
        (_, VerdictValue::Passed) => verdict("passed", "✓", "Passed"),
        (_, VerdictValue::Failed) => verdict("failed", "✗", "Failed"),
        (_, VerdictValue::Inconclusive) => verdict("inconclusive", "?", "Inconclusive"),
        (_, VerdictValue::None) => verdict("none", "○", "No verdict"),
    }
}

/// `×2 from 00:34, paused from 00:50`; empty where all of it was as written.
fn load_label(summary: &Summary) -> String {
    let step =
        |step: &LoadStep| format!("{} from {}", step.name(), format::clock(step.at_us / 1_000_000));
    summary.load.iter().map(step).collect::<Vec<_>>().join(", ")
}

/// A path as people read it: `Global`, or its parts joined by ` / `.
#[must_use]
pub fn path_label(path: &[String]) -> String {
    if path.is_empty() { "Global".to_owned() } else { path.join(" / ") }
}
