//! Runs cases on Onrush, several at a time, and holds them against their recordings.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde_json::Value;

use super::case::Case;
use super::compare::{Difference, Verdict};
use super::form::form;
use super::onrush;
use super::target::Target;

/// Cases wait far more than they compute.
const AT_ONCE: usize = 12;

/// One case's result.
#[derive(Debug)]
pub struct Held {
    pub name: String,
    pub unexplained: Vec<Difference>,
    /// Differences on purpose that are not there any more.
    pub outlived: Vec<String>,
    /// What was pending and agrees by now: good news, and lines to delete.
    pub caught_up: Vec<String>,
    pub differs: bool,
    pub pending: bool,
}

/// The result of a run of the suite; prints as a table of what is not equal, then the counts.
#[derive(Debug)]
pub struct Report(pub Vec<Held>);

impl Report {
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.0.iter().all(|held| held.unexplained.is_empty() && held.outlived.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for held in &self.0 {
            for line in &held.caught_up {
                writeln!(f, "{}: agrees by now; delete: // @pending {line}", held.name)?;
            }
            for difference in &held.unexplained {
                writeln!(f, "{}: {difference}", held.name)?;
            }
            for line in &held.outlived {
                writeln!(f, "{}: differs no more; delete: // @differs {line}", held.name)?;
            }
        }
        let count = |fits: fn(&Held) -> bool| self.0.iter().filter(|held| fits(held)).count();
        write!(
            f,
            "oracle: {} cases: {} agree, {} differ on purpose, {} are pending, {} disagree",
            self.0.len(),
            count(|held| held.unexplained.is_empty() && !held.differs && !held.pending),
            count(|held| held.unexplained.is_empty() && held.differs && !held.pending),
            count(|held| held.unexplained.is_empty() && held.pending),
            count(|held| !held.unexplained.is_empty()),
        )
    }
}

/// Runs all cases.
///
/// # Errors
/// A recording that is missing or unreadable; an `onrush` that does not start.
pub fn run(cases: &[Case]) -> anyhow::Result<Report> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, anyhow::Result<Held>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    let held = hold(case).with_context(|| case.name.clone());
                    done.lock().expect("no case panics here").push((index, held));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no case panicked");
    done.sort_by_key(|(index, _)| *index);
    let held = done.into_iter().map(|(_, held)| held).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Report(held))
}

fn hold(case: &Case) -> anyhow::Result<Held> {
    let path = case.recording();
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("{}: run scripts/oracle.sh record {}", path.display(), case.name)
    })?;
    let mut recording: Value = serde_json::from_str(&text)?;
    if let Some(fields) = recording.as_object_mut() {
        // Says what was asked, not what it did.
        fields.shift_remove("gatling");
    }
    let target = Target::start(case.pages.clone())?;
    let outcome = onrush::run(case, &target)?;
    let verdict = Verdict::of(case, &recording, &form(case, outcome, &target));
    let used = |index: &usize| verdict.used.contains(index);
    let known = case.known.iter().enumerate();
    let unused = |on_purpose: bool| {
        let lines = known
            .clone()
            .filter(|(index, known)| !used(index) && known.row.is_some() == on_purpose);
        lines.map(|(_, known)| format!("{} | {}", known.path, known.reason)).collect()
    };
    Ok(Held {
        name: case.name.clone(),
        outlived: unused(true),
        caught_up: unused(false),
        differs: known.clone().any(|(index, known)| used(&index) && known.row.is_some()),
        pending: known.clone().any(|(index, known)| used(&index) && known.row.is_none()),
        unexplained: verdict.unexplained,
    })
}
