//! `onrush new DIR`: a project that runs at once, without a network: a simulation, its data, what
//! an editor needs to help, and a page that says what to do next. Refuses a folder that has files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::exit::{Exit, fail};
use super::{Global, output, say};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder; made if it is not there
    dir: PathBuf,
    /// In TypeScript (what happens without a flag)
    #[arg(long, conflicts_with = "js")]
    ts: bool,
    /// In JavaScript
    #[arg(long)]
    js: bool,
}

/// A file of the project.
struct File {
    path: &'static str,
    content: &'static str,
}

const COMMON: [File; 3] = [
    File { path: "resources/users.csv", content: include_str!("template/users.csv") },
    File { path: "resources/order.json", content: include_str!("template/order.json") },
    File { path: ".gitignore", content: "node_modules/\nonrush-results/\n" },
];

const TYPESCRIPT: [File; 2] = [
    File { path: "src/example.gatling.ts", content: include_str!("template/example.gatling.ts") },
    File { path: "tsconfig.json", content: include_str!("template/tsconfig.json") },
];

const JAVASCRIPT: [File; 2] = [
    File { path: "src/example.gatling.js", content: include_str!("template/example.gatling.js") },
    File { path: "jsconfig.json", content: include_str!("template/jsconfig.json") },
];

const PACKAGE: &str = include_str!("template/package.json");
const README: &str = include_str!("template/README.md");

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    let shown = dir.display();
    refuse_files(dir)?;
    let simulation = if args.js { "src/example.gatling.js" } else { "src/example.gatling.ts" };
    let name = project_name(dir);
    let own = if args.js { &JAVASCRIPT } else { &TYPESCRIPT };
    let mut files: Vec<(&str, String)> =
        COMMON.iter().chain(own).map(|file| (file.path, file.content.to_owned())).collect();
    let fill = |text: &str| text.replace("@NAME@", &name).replace("@SIMULATION@", simulation);
    files.push(("package.json", fill(PACKAGE)));
    files.push(("README.md", fill(README)));
    for (path, content) in &files {
        let path = dir.join(path);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    say(format!("{shown}: a project of {} files", files.len()))?;
    output::hint(global, format!("cd {shown} && onrush run {simulation}"));
    output::hint(global, "npm install, once, lets your editor help; a run does not need it");
    Ok(Exit::Ok.into())
}

fn refuse_files(dir: &Path) -> anyhow::Result<()> {
    let shown = dir.display();
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                let text = format!("{shown} is not empty; name a folder that is, or a new one");
                Err(fail(Exit::Usage, text))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(Exit::Usage, format!("{shown}: {error}"))),
    }
}

/// What npm takes for a name.
fn project_name(dir: &Path) -> String {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let name = full.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let kept = |letter: char| match letter {
        'a'..='z' | '0'..='9' | '-' | '_' => letter,
        _ => '-',
    };
    let name: String = name.unwrap_or_default().chars().map(kept).collect();
    let name = name.trim_matches(['-', '_']);
    if name.is_empty() { "load-tests".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_npm() {
        assert_eq!(project_name(Path::new("/x/Shop Tests!")), "shop-tests");
        assert_eq!(project_name(Path::new("/")), "load-tests");
    }
}
