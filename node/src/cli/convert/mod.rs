//! `onrush convert har|curl|postman FILE`: a readable simulation from a browser's recording, curl
//! commands, or a Postman collection. Each source becomes a [`Recording`]; `emit` writes it down.
//! Refuses to guess: what it leaves out, it says, in the simulation and on the terminal.

mod curl;
mod emit;
mod har;
mod hints;
mod postman;
mod recording;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::exit::{Exit, fail};
use super::{Global, output, say};
use recording::Recording;

/// Larger recordings are refused: they are read as a whole.
const INPUT_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// A HAR file, as a browser's network panel saves it
    Har {
        #[command(flatten)]
        common: Common,
        /// Shortest gap between requests that becomes a pause, in milliseconds
        #[arg(long, default_value_t = 100, value_name = "MS")]
        threshold_for_pause: u64,
        /// Keep images, styles, scripts and fonts, too
        #[arg(long)]
        keep_static: bool,
    },
    /// curl commands: a file of them, or one command as the argument
    Curl {
        #[command(flatten)]
        common: Common,
    },
    /// A Postman collection, v2.0 or v2.1
    Postman {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// What to convert; - is stdin
    file: String,
    /// The simulation that is written [default: the file's name, .gatling.js]
    #[arg(short = 'O', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long)]
    force: bool,
}

/// What goes to disk: the simulation, and bodies beside it.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    simulation: String,
    /// By their path below the simulation's folder.
    files: Vec<(String, Vec<u8>)>,
    /// For the terminal.
    notes: Vec<String>,
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let (common, recording) = match args.from {
        From::Har { common, threshold_for_pause, keep_static } => {
            let options = har::Options { pause_ms_min: threshold_for_pause, keep_static };
            let recording = har::read(&input(&common.file)?, &options);
            (common, recording)
        }
        From::Curl { common } => {
            let text = match common.file.trim_start().starts_with("curl ") {
                true => common.file.clone().into_bytes(),
                false => input(&common.file)?,
            };
            (common, curl::read(&text))
        }
        From::Postman { common } => {
            let recording = postman::read(&input(&common.file)?);
            (common, recording)
        }
    };
    let recording = recording.map_err(|message| {
        let shown = shown(&common.file);
        fail(Exit::BadScript, format!("{shown}: {message}"))
    })?;
    let path = common.output.clone().unwrap_or_else(|| default_output(&common.file));
    let written = emit::emit(&recording, &stem(&path));
    save(&path, &written, common.force)?;
    report(global, &path, &recording, &written)?;
    Ok(Exit::Ok.into())
}

fn shown(file: &str) -> &str {
    if file.trim_start().starts_with("curl ") { "the command" } else { file }
}

fn input(file: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        let opened = std::fs::File::open(file)
            .map_err(|error| fail(Exit::NoInput, format!("{file}: {error}")))?;
        opened
            .take(INPUT_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fail(Exit::NoInput, format!("{file}: {error}")))?;
    }
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        let most = output::bytes(INPUT_BYTES_MAX);
        return Err(fail(Exit::BadScript, format!("{file} is larger than {most}")));
    }
    Ok(bytes)
}

fn default_output(file: &str) -> PathBuf {
    let plain = file == "-" || file.trim_start().starts_with("curl ");
    let stem = if plain { None } else { Path::new(file).file_stem() };
    let stem = stem.map_or_else(|| "converted".to_owned(), |it| it.to_string_lossy().into_owned());
    let stem = stem.trim_end_matches(".postman_collection").trim_end_matches(".har");
    PathBuf::from(format!("{}.gatling.js", recording::slug(stem)))
}

/// `shop` of `out/shop.gatling.js`.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    recording::slug(name.split('.').next().unwrap_or_default())
}

fn save(path: &Path, written: &Written, force: bool) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut all: Vec<(PathBuf, &[u8])> = vec![(path.to_owned(), written.simulation.as_bytes())];
    all.extend(written.files.iter().map(|(name, body)| (folder.join(name), body.as_slice())));
    if let Some((taken, _)) = all.iter().find(|(path, _)| path.symlink_metadata().is_ok())
        && !force
    {
        let text = format!("{} is there already; --force overwrites it", taken.display());
        return Err(fail(Exit::Usage, text));
    }
    for (path, content) in all {
        let shown = path.display().to_string();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| shown.clone())?;
        }
        std::fs::write(&path, content).context(shown)?;
    }
    Ok(())
}

fn report(
    global: &Global,
    path: &Path,
    recording: &Recording,
    written: &Written,
) -> anyhow::Result<()> {
    let requests = recording.requests();
    let shown = path.display();
    if global.is_json() {
        let files: Vec<&str> = written.files.iter().map(|(name, _)| name.as_str()).collect();
        return output::json(&serde_json::json!({
            "simulation": path, "requests": requests, "files": files, "notes": written.notes,
        }));
    }
    let plural = if requests == 1 { "request" } else { "requests" };
    say(format!("{shown}: {requests} {plural}"))?;
    for (name, body) in &written.files {
        say(format!("  {name}: {}", output::bytes(body.len() as u64)))?;
    }
    for note in &written.notes {
        say(format!("  {note}"))?;
    }
    output::hint(global, format!("onrush check {shown}, then onrush debug {shown}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_input() {
        let name = |file| default_output(file).display().to_string();
        assert_eq!(name("x/Shop Front.har"), "shop-front.gatling.js");
        assert_eq!(name("Shop.postman_collection.json"), "shop.gatling.js");
        assert_eq!(name("-"), "converted.gatling.js");
        assert_eq!(name("curl http://x"), "converted.gatling.js");
        assert_eq!(stem(Path::new("a/shop.gatling.js")), "shop");
    }
}
