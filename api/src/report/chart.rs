//! Charts as inline SVG: axes with units, a legend in words, a text summary for who cannot see
//! them. No script, no colour alone: each line has its own dash pattern.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::format;

const W: f64 = 760.0;
const H: f64 = 250.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;

/// One line of a chart; a gap where there is no value. `hue` is the number of a colour and of a
/// dash pattern in the style sheet.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) hue: usize,
    pub(super) values: Vec<Option<f64>>,
}

/// A chart over the run.
pub(super) struct TimeChart<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// Of the y axis.
    pub(super) unit: &'a str,
    /// What there is to see, in a sentence.
    pub(super) summary: String,
    pub(super) lines: Vec<Line>,
    /// Seconds per point.
    pub(super) width_s: u32,
    /// (second, what happened)
    pub(super) events: &'a [(u32, String)],
}

/// A round step that gives at most six ticks up to `max`.
fn nice_step(max: f64) -> f64 {
    let rough = (max / 5.0).max(1e-9);
    let magnitude = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|f| f * magnitude >= rough);
    factor.unwrap_or(10.0) * magnitude
}

/// From 0 to `max` or the next tick above it; to 1 where all is 0. No finer than what a label shows.
fn ticks(max: f64) -> Vec<f64> {
    let max = if max > 0.0 { max.max(5e-3) } else { 1.0 };
    let step = nice_step(max);
    let mut ticks = Vec::new();
    for i in 0..=12u32 {
        let at = f64::from(i) * step;
        ticks.push(at);
        if at >= max {
            break;
        }
    }
    ticks
}

/// Labels of the time axis: second and text, at most nine.
fn time_ticks(seconds: u64) -> Vec<u64> {
    const STEPS: [u64; 16] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400];
    let last = STEPS[STEPS.len() - 1];
    let step = STEPS.into_iter().find(|step| seconds / step <= 8);
    let step = step.unwrap_or_else(|| last * (seconds / last / 8 + 1));
    (0..=seconds / step).map(|i| i * step).collect()
}

fn x_at(part: f64) -> f64 {
    LEFT + part * (W - LEFT - RIGHT)
}

fn y_at(value: f64, top: f64) -> f64 {
    H - BOTTOM - (value / top).clamp(0.0, 1.0) * (H - TOP - BOTTOM)
}

#[expect(clippy::cast_precision_loss, reason = "at most 1,000 points")]
fn path(values: &[Option<f64>], top: f64) -> (String, Vec<(f64, f64)>) {
    let (mut d, mut dots) = (String::new(), Vec::new());
    let n = values.len() as f64;
    for (i, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let (x, y) = (x_at((i as f64 + 0.5) / n), y_at(*value, top));
        let joined = i > 0 && values[i - 1].is_some();
        // A point between two gaps has no line to be seen by.
        if !joined && values.get(i + 1).is_none_or(Option::is_none) {
            dots.push((x, y));
        }
        let command = if joined { 'L' } else { 'M' };
        let _ = write!(d, "{command}{x:.1} {y:.1}");
    }
    (d, dots)
}

fn y_axis(ticks: &[f64], top: f64, unit: &str) -> Markup {
    html! {
        @for tick in ticks {
            @let y = format!("{:.1}", y_at(*tick, top));
            line class="grid" x1=(LEFT) x2=(W - RIGHT) y1=(y) y2=(y) {}
            text class="tick end" x=(LEFT - 7.0) y=(y) dy="0.32em" { (format::number(*tick)) }
        }
        text class="unit" transform={ "translate(13 " (H / 2.0 - 10.0) ") rotate(-90)" } { (unit) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
fn x_axis(seconds: u64) -> Markup {
    html! {
        line class="axis" x1=(LEFT) x2=(W - RIGHT) y1=(H - BOTTOM) y2=(H - BOTTOM) {}
        @for tick in time_ticks(seconds) {
            @let x = format!("{:.1}", x_at(tick as f64 / seconds.max(1) as f64));
            line class="axis" x1=(x) x2=(x) y1=(H - BOTTOM) y2=(H - BOTTOM + 4.0) {}
            text class="tick mid" x=(x) y=(H - BOTTOM + 19.0) { (format::clock(tick)) }
        }
        text class="unit" x=(W - RIGHT) y=(H - 3.0) { "time since the start" }
    }
}

impl TimeChart<'_> {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    pub(super) fn render(&self) -> Markup {
        let max = self.lines.iter().flat_map(|line| line.values.iter().flatten());
        let ticks = ticks(max.fold(0.0f64, |a, b| a.max(*b)));
        let top = ticks.last().copied().unwrap_or(1.0);
        let points = self.lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
        let seconds = points as u64 * u64::from(self.width_s);
        let drawing = html! {
            (y_axis(&ticks, top, self.unit))
            (x_axis(seconds))
            @for (second, text) in self.events {
                @let x = format!("{:.1}", x_at(f64::from(*second) / seconds.max(1) as f64));
                line class="event" x1=(x) x2=(x) y1=(TOP) y2=(H - BOTTOM) { title { (text) } }
            }
            @for line in self.lines.iter().rev() {
                @let (d, dots) = path(&line.values, top);
                path class={ "line h" (line.hue) } d=(d) {}
                @for (x, y) in dots {
                    circle class={ "dot h" (line.hue) } cx=(format!("{x:.1}"))
                        cy=(format!("{y:.1}")) r="2.5" {}
                }
            }
        };
        let bucket = match self.width_s {
            1 => "one point per second".to_owned(),
            width => format!("one point per {}", format::time(u64::from(width) * 1_000_000)),
        };
        let legend: Vec<_> = self.lines.iter().map(|l| (l.name.clone(), l.hue, "line")).collect();
        figure(self.id, self.title, &self.summary, &bucket, &legend, &drawing)
    }
}

/// The frame around a drawing: title, picture, legend, and the summary in words.
pub(super) fn figure(
    id: &str,
    title: &str,
    summary: &str,
    note: &str,
    legend: &[(String, usize, &str)],
    drawing: &Markup,
) -> Markup {
    html! {
        figure class="chart" id=(id) {
            h3 id={ (id) "-title" } { (title) }
            svg viewBox={ "0 0 " (W) " " (H) } role="img"
                aria-labelledby={ (id) "-title " (id) "-text" } { (drawing) }
            @if legend.len() > 1 {
                ul class="legend" {
                    @for (name, hue, kind) in legend {
                        li {
                            svg viewBox="0 0 26 10" width="26" height="10" aria-hidden="true" {
                                @if *kind == "line" {
                                    path class={ "line h" (hue) } d="M0 5H26" {}
                                } @else {
                                    rect class={ "bar h" (hue) } x="6" width="12" height="10" {}
                                }
                            }
                            bdi { (format::one_line(name, 60)) }
                        }
                    }
                }
            }
            figcaption id={ (id) "-text" } { (summary) " " span class="note" { (note) } }
        }
    }
}

/// One bar of a histogram: OK and KO stacked, in percent of all responses.
pub(super) struct Bar {
    pub(super) from_us: u64,
    pub(super) to_us: u64,
    pub(super) ok: f64,
    pub(super) ko: f64,
}

/// Where `us` stands between `low` and `high` on a logarithmic axis.
#[expect(clippy::cast_precision_loss, reason = "positions on paper")]
fn log_part(us: u64, low: u64, high: u64) -> f64 {
    let (low, high) = ((low.max(1) as f64).ln(), (high.max(2) as f64).ln());
    if high <= low { 0.0 } else { ((us.max(1) as f64).ln() - low) / (high - low) }
}

/// 1, 2 and 5 times powers of ten between `low` and `high`, fewer when they would crowd.
fn log_ticks(low: u64, high: u64) -> Vec<u64> {
    let decades = (0..11u32).map(|power| 10u64.pow(power));
    let within = |steps: &[u64]| -> Vec<u64> {
        let all = decades.clone().flat_map(|decade| steps.iter().map(move |step| step * decade));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let full = within(&[1, 2, 5]);
    if full.len() > 12 { within(&[1]) } else { full }
}

/// How response times are distributed, on a logarithmic axis.
pub(super) fn histogram(id: &str, title: &str, summary: &str, bars: &[Bar]) -> Markup {
    let max = bars.iter().map(|bar| bar.ok + bar.ko).fold(0.0f64, f64::max);
    let ticks = ticks(max);
    let top = ticks.last().copied().unwrap_or(1.0);
    let (low, high) = bars.first().zip(bars.last()).map_or((1, 2), |(a, b)| (a.from_us, b.to_us));
    let drawing = html! {
        (y_axis(&ticks, top, "% of responses"))
        line class="axis" x1=(LEFT) x2=(W - RIGHT) y1=(H - BOTTOM) y2=(H - BOTTOM) {}
        @for tick in log_ticks(low, high) {
            @let x = format!("{:.1}", x_at(log_part(tick, low, high)));
            line class="axis" x1=(x) x2=(x) y1=(H - BOTTOM) y2=(H - BOTTOM + 4.0) {}
            text class="tick mid" x=(x) y=(H - BOTTOM + 19.0) { (format::time(tick)) }
        }
        text class="unit" x=(W - RIGHT) y=(H - 3.0) { "response time, logarithmic" }
        @for bar in bars {
            @let (from, to) = (log_part(bar.from_us, low, high), log_part(bar.to_us, low, high));
            @let (x, width) = (x_at(from), (x_at(to) - x_at(from) - 1.0).max(1.0));
            @let (ok, all) = (y_at(bar.ok, top), y_at(bar.ok + bar.ko, top));
            @let tip = format!("{} to {}: {} OK, {} KO", format::time(bar.from_us),
                format::time(bar.to_us), format::percent(bar.ok), format::percent(bar.ko));
            @if bar.ok > 0.0 {
                rect class="bar h0" x=(format!("{x:.1}")) width=(format!("{width:.1}"))
                    y=(format!("{ok:.1}")) height=(format!("{:.1}", (H - BOTTOM - ok).max(0.6))) {
                    title { (tip) }
                }
            }
            @if bar.ko > 0.0 {
                rect class="bar h1" x=(format!("{x:.1}")) width=(format!("{width:.1}"))
                    y=(format!("{all:.1}")) height=(format!("{:.1}", (ok - all).max(0.6))) {
                    title { (tip) }
                }
            }
        }
    };
    let legend = [("OK".to_owned(), 0, "bar"), ("KO".to_owned(), 1, "bar")];
    figure(id, title, summary, "", &legend, &drawing)
}

/// Response time by percentile; the slow end is stretched so that 99 and 99.9 can be told apart.
#[expect(clippy::cast_precision_loss, reason = "positions on paper")]
pub(super) fn curve(id: &str, title: &str, summary: &str, points: &[(f64, u64)]) -> Markup {
    const NINES: f64 = 4.0;
    let part = |percent: f64| (-(1.0 - percent / 100.0).max(1e-9).log10()).min(NINES) / NINES;
    let ms: Vec<_> = points.iter().map(|(p, us)| (part(*p), *us as f64 / 1e3)).collect();
    let ticks = ticks(ms.iter().map(|(_, ms)| *ms).fold(0.0, f64::max));
    let top = ticks.last().copied().unwrap_or(1.0);
    let mut d = String::new();
    for (i, (x, ms)) in ms.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{command}{:.1} {:.1}", x_at(*x), y_at(*ms, top));
    }
    let labels = [0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99];
    let drawing = html! {
        (y_axis(&ticks, top, "ms"))
        line class="axis" x1=(LEFT) x2=(W - RIGHT) y1=(H - BOTTOM) y2=(H - BOTTOM) {}
        @for label in labels {
            @let x = format!("{:.1}", x_at(part(label)));
            line class="grid" x1=(x) x2=(x) y1=(TOP) y2=(H - BOTTOM) {}
            text class="tick mid" x=(x) y=(H - BOTTOM + 19.0) { (label) }
        }
        text class="unit" x=(W - RIGHT) y=(H - 3.0) { "percentile" }
        path class="line h2" d=(d) {}
        @for ((percent, us), (x, ms)) in points.iter().zip(&ms) {
            circle class="dot h2" cx=(format!("{:.1}", x_at(*x)))
                cy=(format!("{:.1}", y_at(*ms, top))) r="2.4" {
                title { (percent) " %: " (format::time(*us)) }
            }
        }
    };
    figure(id, title, summary, "", &[], &drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_few_round_ticks() {
        assert_eq!(ticks(97.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(0.4), [0.0, 0.1, 0.2, 0.30000000000000004, 0.4]);
        assert_eq!(ticks(0.0), (0..=5).map(|i| f64::from(i) * 0.2).collect::<Vec<_>>());
        for max in [1e-4, 1e-3, 0.7, 3.0, 12_345.0, 9.9e12] {
            let ticks = ticks(max);
            assert!(ticks.len() <= 7 && *ticks.last().unwrap() >= max, "{max}: {ticks:?}");
            let labels: std::collections::BTreeSet<_> =
                ticks.iter().map(|tick| format::number(*tick)).collect();
            assert_eq!(labels.len(), ticks.len(), "{max}: {labels:?}");
        }
        assert_eq!(time_ticks(60), [0, 10, 20, 30, 40, 50, 60]);
        assert!(time_ticks(3_000_000).len() <= 9);
        assert_eq!(log_ticks(900, 12_000), [1_000, 2_000, 5_000, 10_000]);
    }

    #[test]
    fn a_gap_breaks_the_line_and_a_lone_point_is_a_dot() {
        let (d, dots) = path(&[Some(1.0), Some(1.0), None, Some(0.0)], 1.0);
        assert_eq!(d.matches('M').count(), 2);
        assert_eq!(d.matches('L').count(), 1);
        assert_eq!(dots.len(), 1);
    }
}
