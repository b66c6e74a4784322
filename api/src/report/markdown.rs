//! The summary as Markdown, for a CI job's page: verdict first.

use std::fmt::Write as _;

use onrush_scenario::stats::summary::Summary;

use super::format::{count, ms, number, one_line, percent};
use super::{load_label, outcome, path_label};

const ROWS_MAX: usize = 60;
const ERRORS_MAX: usize = 10;

/// GitHub-flavoured; texts from outside cannot start markup.
#[must_use]
pub fn markdown(summary: &Summary) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut out, summary);
    out
}

fn write(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let run = &summary.run;
    let name = if run.title.is_empty() { &run.simulation } else { &run.title };
    let word = outcome(summary).word.to_uppercase();
    writeln!(out, "## {}: {word}\n", plain(name, 100))?;
    writeln!(out, "{}\n", plain(&summary.verdict.reason, 200))?;
    for result in &summary.assertions {
        let mark = if result.passed { "✅" } else { "❌" };
        writeln!(out, "- {mark} {}", plain(&result.text, 300))?;
    }
    if !summary.load.is_empty() {
        writeln!(out, "\nLoad: {}", plain(&load_label(summary), 300))?;
    }
    writeln!(out, "\n| Request | Total | KO | KO % | /s | p50 ms | p95 ms | p99 ms | max ms |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for row in summary.rows.iter().take(ROWS_MAX) {
        let (all, ko) = (&row.stats.all, &row.stats.ko);
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            plain(&path_label(&row.path), 100),
            count(all.count),
            count(ko.count),
            percent(ko.percent),
            number(all.per_second),
            ms(all.p50_us),
            ms(all.p95_us),
            ms(all.p99_us),
            ms(all.max_us)
        )?;
    }
    if summary.rows.len() > ROWS_MAX {
        writeln!(out, "\n… and {} more", summary.rows.len() - ROWS_MAX)?;
    }
    if !summary.errors.is_empty() {
        writeln!(out, "\n| Error | Count | Share |\n|---|--:|--:|")?;
        for row in summary.errors.iter().take(ERRORS_MAX) {
            let message = plain(&row.message, 200);
            writeln!(out, "| {message} | {} | {} |", count(row.count), percent(row.share))?;
        }
    }
    Ok(())
}

/// Text without markup: what Markdown or HTML would read is escaped.
fn plain(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in one_line(text, max).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_inert() {
        assert_eq!(plain("a|b<img src=x>[x](y)\n# h", 99), "a\\|b&lt;img src=x>\\[x\\](y) \\# h");
    }
}
