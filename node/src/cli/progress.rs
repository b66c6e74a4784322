//! The live view of a run on a terminal: a block redrawn in place, or, where nobody looks at a
//! terminal, one line of `key=value` every ten seconds. Shared by `run` and `job watch`.
//!
//! Refuses to write escape sequences anywhere but on a terminal, and to write to stdout: progress
//! is not data. Texts from outside (names, errors, script output) cannot move the cursor.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use onrush_api::report::format::{bytes, clock, count, one_line, percent, time};
use onrush_api::report::path_label;
use onrush_scenario::stats::live::LiveView;

/// Seconds between two lines of [`Mode::Lines`].
pub const LINE_EVERY_S: u32 = 10;
const ROWS_MAX: usize = 8;
const ERRORS_MAX: usize = 3;
const WIDTH_DEFAULT: usize = 100;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// `tui` on a terminal, `lines` elsewhere
    #[default]
    Auto,
    /// A block redrawn in place
    Tui,
    /// One key=value line every 10 s
    Lines,
    /// Nothing
    None,
}

/// What the view does not know: the run's name and how long it is going to be.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub title: String,
    /// `local · 2 threads`, `job_01… · 3 nodes`.
    pub place: String,
    pub planned_s: Option<u64>,
    /// `running`, `stopping`, …
    pub state: String,
}

/// Whether to colour what goes to this stream.
#[must_use]
pub fn colour(stream: &impl IsTerminal) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !no_color && !dumb
}

/// Writes to stderr; losing a line of progress is no reason to fail.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    colour: bool,
    /// Lines of the block that is on the screen.
    drawn: usize,
    block: Vec<String>,
    next_line_s: u32,
}

impl Progress {
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let stderr = std::io::stderr();
        let mode = match mode {
            Mode::Auto if stderr.is_terminal() => Mode::Tui,
            Mode::Auto => Mode::Lines,
            // Escape sequences in a file help nobody.
            Mode::Tui if !stderr.is_terminal() => Mode::Lines,
            other => other,
        };
        let colour = colour(&stderr);
        Self { mode, colour, drawn: 0, block: Vec::new(), next_line_s: LINE_EVERY_S }
    }

    /// Shows the present state.
    pub fn update(&mut self, header: &Header, view: &LiveView) {
        match self.mode {
            Mode::Tui => {
                self.block = block(header, view, terminal_width(), self.colour);
                self.redraw("");
            }
            Mode::Lines if view.second + 1 >= self.next_line_s => {
                self.next_line_s = (view.second + 1) / LINE_EVERY_S * LINE_EVERY_S + LINE_EVERY_S;
                self.write(&format!("{}\n", line(view)));
            }
            _ => {}
        }
    }

    /// Writes a line that stays, above the block.
    pub fn say(&mut self, text: &str) {
        let text = one_line(text, 2_000);
        match self.mode {
            Mode::Tui => self.redraw(&format!("{text}\n")),
            _ => self.write(&format!("{text}\n")),
        }
    }

    /// Takes the block away, so that what follows is written in its place.
    pub fn clear(&mut self) {
        self.block.clear();
        if self.drawn > 0 {
            self.redraw("");
        }
    }

    fn redraw(&mut self, above: &str) {
        let mut out = String::new();
        if self.drawn > 0 {
            // To the block's first line, and everything from there on erased.
            out.push_str(&format!("\x1b[{}F\x1b[0J", self.drawn));
        }
        out.push_str(above);
        for line in &self.block {
            out.push_str(line);
            out.push('\n');
        }
        self.drawn = self.block.len();
        self.write(&out);
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.flush();
    }
}

fn terminal_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(WIDTH_DEFAULT, |(width, _)| usize::from(width.0).max(40))
}

/// The line of [`Mode::Lines`]: keys and units are stable; `-` where the last second had no response.
#[must_use]
pub fn line(view: &LiveView) -> String {
    let t = |us: u64| if view.last.count == 0 { "-".to_owned() } else { time(us).replace(' ', "") };
    format!(
        "t={}s users={} rps={} ko={} p50={} p95={} p99={} max={} requests={} cpu={:.0}%",
        view.second + 1,
        view.users_active,
        view.rps,
        percent(view.ko_percent).replace(' ', ""),
        t(view.last.p50_us),
        t(view.last.p95_us),
        t(view.last.p99_us),
        t(view.last.max_us),
        view.count,
        view.cpu_percent
    ) + &load(view).map(|load| format!(" load={load}")).unwrap_or_default()
}

/// Where it is not as written: `x2`, `paused`.
fn load(view: &LiveView) -> Option<String> {
    let load = view.load?;
    if load.paused {
        return Some("paused".to_owned());
    }
    ((load.factor - 1.0).abs() > 1e-9).then(|| format!("x{}", load.factor))
}

/// The block of [`Mode::Tui`]: lines no wider than `width`.
#[must_use]
pub fn block(header: &Header, view: &LiveView, width: usize, colour: bool) -> Vec<String> {
    let mut lines = vec![bar(header, view, width)];
    let dropped = match view.users_dropped {
        0 => String::new(),
        dropped => format!("   dropped {}", count(dropped)),
    };
    let load = load(view).map(|load| format!("   load {load}")).unwrap_or_default();
    let planned = view.users_planned.map_or_else(String::new, |all| format!(" of {}", count(all)));
    lines.push(format!(
        " users     active {}   started {}{planned}   ended {}{dropped}{load}",
        count(view.users_active),
        count(view.users_started),
        count(view.users_ended)
    ));
    lines.push(format!(
        " requests  {}/s   total {}   KO {}   in {}/s   out {}/s   generator cpu {:.0} %",
        count(view.rps),
        count(view.count),
        percent(view.ko_percent),
        bytes(view.bytes_received_ps),
        bytes(view.bytes_sent_ps),
        view.cpu_percent
    ));
    for (name, times) in [("last 1 s", &view.last), ("so far", &view.total)] {
        if times.count == 0 {
            lines.push(format!(" {name:<9} no response"));
            continue;
        }
        lines.push(format!(
            " {name:<9} p50 {}   p95 {}   p99 {}   max {}",
            time(times.p50_us),
            time(times.p95_us),
            time(times.p99_us),
            time(times.max_us)
        ));
    }
    rows(&mut lines, view, width);
    for error in view.errors.iter().take(ERRORS_MAX) {
        let path = path_label(&error.path);
        lines.push(format!(" {:>9}  {} ({path})", count(error.count), error.message));
    }
    if view.flagged_seconds > 0 {
        let seconds = view.flagged_seconds;
        lines.push(format!(" ! the generator, not the target, set the pace in {seconds} s"));
    }
    lines.into_iter().map(|line| painted(&one_line(&line, width - 1), colour)).collect()
}

fn bar(header: &Header, view: &LiveView, width: usize) -> String {
    let elapsed = u64::from(view.second) + 1;
    let name = one_line(&header.title, 40);
    let Some(planned) = header.planned_s.filter(|planned| *planned > 0) else {
        return format!("{name}  {}  {} · {}", clock(elapsed), header.state, header.place);
    };
    let cells = if width < 90 { 16 } else { 30 };
    let part = usize::try_from(elapsed.min(planned) * cells / planned).unwrap_or(0);
    let rest = usize::try_from(cells).unwrap_or(0).saturating_sub(part);
    format!(
        "{name}  {} / {} {}{} {} · {}",
        clock(elapsed),
        clock(planned),
        "█".repeat(part),
        "·".repeat(rest),
        header.state,
        header.place
    )
}

fn rows(lines: &mut Vec<String>, view: &LiveView, width: usize) {
    if view.rows.is_empty() {
        return;
    }
    let name_width = width.saturating_sub(66).clamp(14, 44);
    lines.push(format!(
        " {:<name_width$} {:>11} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "request", "total", "KO", "/s", "p50", "p95", "p99"
    ));
    for row in view.rows.iter().take(ROWS_MAX) {
        lines.push(format!(
            " {:<name_width$} {:>11} {:>8} {:>8} {:>9} {:>9} {:>9}",
            one_line(&path_label(&row.path), name_width),
            count(row.count),
            count(row.ko),
            count(row.rps),
            time(row.p50_us),
            time(row.p95_us),
            time(row.p99_us)
        ));
    }
    let more = view.rows_more + view.rows.len().saturating_sub(ROWS_MAX) as u64;
    if more > 0 {
        lines.push(format!(" … and {} more", count(more)));
    }
}

/// Colour by the kind of line; without it the line says the same.
fn painted(line: &str, colour: bool) -> String {
    if !colour {
        return line.to_owned();
    }
    match line.trim_start() {
        text if text.starts_with("request ") => format!("\x1b[2m{line}\x1b[0m"),
        text if text.starts_with("! ") => format!("\x1b[33m{line}\x1b[0m"),
        _ if line.contains('█') || line.contains("····") => format!("\x1b[1m{line}\x1b[0m"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use onrush_scenario::stats::live::{LiveError, LiveLoad, LiveRow, LiveTimes};

    use super::*;

    fn view() -> LiveView {
        let times = LiveTimes {
            count: 9,
            p50_us: 12_000,
            p95_us: 41_000,
            p99_us: 88_000,
            max_us: 1_240_000,
        };
        LiveView {
            second: 84,
            users_active: 1_204,
            count: 545_874,
            ko_percent: 0.31,
            rps: 18_214,
            last: times,
            total: times,
            cpu_percent: 61.4,
            rows: (0..12)
                .map(|i| LiveRow { path: vec![format!("r{i}\u{1b}[2J")], ..LiveRow::default() })
                .collect(),
            rows_more: 3,
            errors: vec![LiveError { message: "boom\n".into(), count: 7, ..LiveError::default() }],
            ..LiveView::default()
        }
    }

    #[test]
    fn the_line_is_stable() {
        assert!(line(&LiveView::default()).contains(" p50=- p95=- "));
        assert_eq!(
            line(&view()),
            "t=85s users=1204 rps=18214 ko=0.31% p50=12ms p95=41ms p99=88ms max=1.24s \
             requests=545874 cpu=61%"
        );
    }

    #[test]
    fn another_load_is_shown() {
        let with = |factor, paused| LiveView { load: Some(LiveLoad { factor, paused }), ..view() };
        assert!(line(&with(2.5, false)).ends_with(" cpu=61% load=x2.5"));
        assert!(line(&with(2.5, true)).ends_with(" load=paused"));
        assert!(line(&with(1.0, false)).ends_with(" cpu=61%"));
        let users = block(&Header::default(), &with(0.5, false), 100, false).remove(1);
        assert!(users.ends_with("   load x0.5"), "{users}");
    }

    #[test]
    fn the_block_fits_and_holds_no_foreign_escape() {
        let header = Header { title: "a".into(), planned_s: Some(300), ..Header::default() };
        for width in [40, 80, 200] {
            let lines = block(&header, &view(), width, false);
            assert!(lines.iter().all(|line| line.chars().count() < width), "{lines:#?}");
            assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\n'])));
            assert!(lines.iter().any(|line| line.contains("… and 7 more")));
        }
    }
}
