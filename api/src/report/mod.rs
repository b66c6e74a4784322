//! What people read of a [`Summary`]: the HTML report, the end block on a terminal, Markdown, CSV.
//! Pure functions. Names and error texts may be hostile: HTML is made by `maud`, which escapes
//! whatever is put into it, and the page may neither run a script nor load anything.

use onrush_scenario::stats::summary::{LoadStep, Summary};

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
