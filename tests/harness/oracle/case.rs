//! A case file: a simulation whose leading comments hold what the runner needs to know.
//!
//! ```text
//! // What the case asks.
//! // @order any                          requests of a user may arrive in any order
//! // @offsets random                     the profile is random: compare only how many start
//! // @times 40                           compare times, to within so many milliseconds
//! // @differs errors.* | why | row       ours on purpose: `row` begins a row of docs/gatling.md
//! // @pending sent.* | why               not ours yet
//! /* pages … */                          what the target answers, see `pages`
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::pages::Pages;

/// The end of a case's file name.
pub const ENDING: &str = ".gatling.js";

/// A difference that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Path of the difference; `*` stands for anything.
    pub path: String,
    pub reason: String,
    /// First words of the row in `docs/gatling.md`; none for what is only not there yet.
    pub row: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub file: PathBuf,
    pub pages: Pages,
    pub any_order: bool,
    pub random_offsets: bool,
    /// Times are compared to within so many milliseconds, or not at all.
    pub times_ms: Option<u64>,
    pub known: Vec<Known>,
}

impl Case {
    /// # Errors
    /// What is wrong with the comments, with the line.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(name) = name.strip_suffix(ENDING) else { bail!("{name} is no {ENDING}") };
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let mut case = Self {
            name: name.to_owned(),
            file: file.to_owned(),
            pages: Pages::parse(&text).with_context(|| name.to_owned())?,
            any_order: false,
            random_offsets: false,
            times_ms: None,
            known: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(directive) = line.strip_prefix("// @") {
                case.directive(directive).with_context(|| format!("{name}:{}", index + 1))?;
            }
        }
        Ok(case)
    }

    fn directive(&mut self, text: &str) -> anyhow::Result<()> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let parts: Vec<String> = rest.split(" | ").map(|part| part.trim().to_owned()).collect();
        match (word, &parts[..]) {
            ("order", [any]) if any == "any" => self.any_order = true,
            ("offsets", [random]) if random == "random" => self.random_offsets = true,
            ("times", [ms]) => self.times_ms = Some(ms.parse().context("@times MILLISECONDS")?),
            ("differs", [path, reason, row]) => self.known.push(Known {
                path: path.clone(),
                reason: reason.clone(),
                row: Some(row.clone()),
            }),
            ("pending", [path, reason]) => {
                self.known.push(Known { path: path.clone(), reason: reason.clone(), row: None });
            }
            _ => bail!(
                "@{text}: order any, offsets random, times MS, differs PATH | WHY | ROW, pending PATH | WHY"
            ),
        }
        Ok(())
    }

    /// Where what Gatling did is kept.
    #[must_use]
    pub fn recording(&self) -> PathBuf {
        self.file.with_file_name(format!("{}.json", self.name))
    }
}

/// All cases, or those whose name contains one of `names`, by name.
///
/// # Errors
/// A folder or a case that cannot be read; a name that fits none.
pub fn cases(names: &[String]) -> anyhow::Result<Vec<Case>> {
    let folder = super::folder();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(ENDING) {
            files.push(path);
        }
    }
    files.sort();
    let cases = files.iter().map(|file| Case::read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    for name in names {
        ensure!(cases.iter().any(|case| case.name.contains(name)), "no case is named {name}");
    }
    let wanted = |case: &Case| names.is_empty() || names.iter().any(|n| case.name.contains(n));
    Ok(cases.into_iter().filter(wanted).collect())
}
