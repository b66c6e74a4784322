//! What people read of a [`Summary`]: the HTML report, the end block on a terminal, Markdown, CSV.
//! Pure functions. Names and error texts may be hostile: HTML is made by `maud`, which escapes
//! whatever is put into it, and the page may neither run a script nor load anything.

use onrush_scenario::stats::summary::Summary;

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

/// A path as people read it: `Global`, or its parts joined by ` / `.
#[must_use]
pub fn path_label(path: &[String]) -> String {
    if path.is_empty() { "Global".to_owned() } else { path.join(" / ") }
}
