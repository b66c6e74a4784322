//! Where a run leaves its results: the folder with report, summary, series and logs, and the extra
//! reports asked for. Refuses a report whose kind its extension does not say.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use onrush_api::report;
use onrush_scenario::shard::OutputStream;
use onrush_scenario::stats::live::LiveView;
use onrush_scenario::stats::summary::Summary;

use super::exit::{Exit, fail};

/// What a report file holds, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Html,
    Json,
    Csv,
    Markdown,
}

impl Kind {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("html" | "htm") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("md") => Ok(Self::Markdown),
            _ => {
                let path = path.display();
                let text =
                    format!("--report {path}: the name must end in .html, .json, .csv or .md");
                Err(fail(Exit::Usage, text))
            }
        }
    }

    fn render(self, summary: &Summary) -> String {
        match self {
            Self::Html => report::html(summary),
            Self::Json => report::json(summary),
            Self::Csv => report::csv(summary),
            Self::Markdown => report::markdown(summary),
        }
    }
}

/// Refuses report files whose extension is not known, before anything runs.
pub fn check_reports(files: &[PathBuf]) -> anyhow::Result<()> {
    files.iter().try_for_each(|file| Kind::of(file).map(drop))
}

/// Writes each file in the form its extension names.
pub fn write_reports(files: &[PathBuf], summary: &Summary) -> anyhow::Result<()> {
    for file in files {
        write(file, &Kind::of(file)?.render(summary))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// `onrush-results/<name>-<yyyymmdd-hhmmss>`, UTC: folders sort by time wherever they were made.
pub fn default_folder(simulation: &str, now: jiff::Timestamp) -> PathBuf {
    let stem = Path::new(simulation).file_stem().and_then(|stem| stem.to_str()).unwrap_or("run");
    let stem = stem.strip_suffix(".gatling").unwrap_or(stem);
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = stem.chars().map(safe).take(80).collect();
    let stamp = now.strftime("%Y%m%d-%H%M%S");
    Path::new("onrush-results").join(format!("{name}-{stamp}"))
}

/// The folder of a run; series and logs are written while it goes on, so that a run that is killed
/// leaves them.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    series: BufWriter<File>,
    stdout: BufWriter<File>,
    stderr: BufWriter<File>,
}

impl Folder {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let open = |name: &str| -> anyhow::Result<_> {
            let file = path.join(name);
            let opened = File::create(&file);
            Ok(BufWriter::new(opened.with_context(|| format!("cannot write {}", file.display()))?))
        };
        let (series, stdout) = (open("series.ndjson")?, open("stdout.log")?);
        Ok(Self { series, stdout, stderr: open("stderr.log")?, path: path.to_owned() })
    }

    pub fn report(&self) -> PathBuf {
        self.path.join("index.html")
    }

    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// Appends a line of what the script printed.
    pub fn output(&mut self, stream: OutputStream, line: &str) -> anyhow::Result<()> {
        let log = match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        writeln!(log, "{line}").context("cannot write the script's output")
    }

    /// Appends a second: the live view without its tables, one JSON object a line.
    pub fn second(&mut self, view: &LiveView) -> anyhow::Result<()> {
        let bare = LiveView { rows: Vec::new(), errors: Vec::new(), ..view.clone() };
        serde_json::to_writer(&mut self.series, &bare).context("cannot write series.ndjson")?;
        self.series.write_all(b"\n").context("cannot write series.ndjson")?;
        self.series.flush().context("cannot write series.ndjson")
    }

    /// Writes the end results.
    pub fn finish(mut self, summary: &Summary) -> anyhow::Result<()> {
        self.stdout.flush().context("cannot write stdout.log")?;
        self.stderr.flush().context("cannot write stderr.log")?;
        write(&self.report(), &report::html(summary))?;
        write(&self.summary(), &report::json(summary))?;
        let errors = serde_json::to_string_pretty(&summary.errors)?;
        write(&self.path.join("errors.json"), &(errors + "\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_after_simulation_and_time() {
        let now: jiff::Timestamp = "2026-11-23T04:05:06Z".parse().unwrap();
        let folder = default_folder("src/check out.gatling.ts", now);
        assert_eq!(folder, Path::new("onrush-results/check_out-20261123-040506"));
    }

    #[test]
    fn everything_is_written() {
        let temp = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(&temp.path().join("a/b")).unwrap();
        folder.output(OutputStream::Stdout, "hello").unwrap();
        folder.second(&LiveView::default()).unwrap();
        folder.finish(&Summary::default()).unwrap();
        for name in ["index.html", "summary.json", "errors.json", "series.ndjson", "stdout.log"] {
            let length = fs::metadata(temp.path().join("a/b").join(name)).unwrap().len();
            assert!(length > 0, "{name}");
        }
        let files = ["r.csv", "x/r.md"].map(|name| temp.path().join(name));
        write_reports(&files, &Summary::default()).unwrap();
        assert!(files.iter().all(|file| file.is_file()));
        assert!(check_reports(&[PathBuf::from("r.pdf")]).is_err());
    }
}
