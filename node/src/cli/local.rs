//! What the subcommands that read a simulation on this machine share: the file and its root, its
//! parameters, and its problems as people read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use onrush_scenario::inject::division::SEGMENTS;
use onrush_scenario::shard::{Problem, ProblemKind, ShardSpec};

use super::exit::{Exit, fail};
use super::tell;

/// How far up a project's root is looked for.
const ROOT_LEVELS_MAX: usize = 8;

/// Which simulation, and what it is given.
#[derive(Clone, Debug, clap::Args)]
pub struct Simulation {
    /// The simulation: .ts, .js, or .json (exported graph)
    pub file: PathBuf,
    /// Parameters of the simulation, read by getParameter
    #[arg(value_name = "KEY=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, String)>,
    /// Folder that imports and data files may come from [default: the nearest folder above FILE
    /// with a package.json, or FILE's own]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Seed of everything random; a run with the same seed makes the same choices
    #[arg(long, value_name = "N")]
    pub seed_rng: Option<u32>,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a parameter is written key=value".to_owned()),
    }
}

/// The folder above the file that makes a project, or the file's own.
fn project_root(file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(file);
    let marked = |folder: &&Path| folder.join("package.json").is_file();
    own.ancestors().take(ROOT_LEVELS_MAX).find(marked).unwrap_or(own).to_owned()
}

impl Simulation {
    /// One shard that is the whole job.
    ///
    /// # Errors
    /// A file or root that is not there, or does not fit the other.
    pub fn spec(&self) -> anyhow::Result<ShardSpec> {
        let shown = self.file.display();
        let file = match self.file.canonicalize() {
            Ok(file) if file.is_file() => file,
            Ok(_) => return Err(fail(Exit::NoInput, format!("{shown} is not a file"))),
            Err(error) => return Err(fail(Exit::NoInput, format!("{shown}: {error}"))),
        };
        let root = match &self.root {
            None => project_root(&file),
            Some(root) => root.canonicalize().map_err(|error| {
                fail(Exit::NoInput, format!("--root {}: {error}", root.display()))
            })?,
        };
        let Ok(inside) = file.strip_prefix(&root) else {
            let text = format!("{shown} is not inside the root {}", root.display());
            return Err(fail(Exit::Usage, text));
        };
        let Some(simulation) = inside.to_str() else {
            return Err(fail(Exit::Usage, format!("the name of {shown} is not UTF-8")));
        };
        // On one's own machine, a script may read what the shell would give any program.
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(ShardSpec {
            job: "local".to_owned(),
            shard: 0,
            epoch: 1,
            segments_total: SEGMENTS,
            segments: (0..SEGMENTS).collect(),
            threads: 1,
            seed: self.seed_rng.unwrap_or_else(rand::random).into(),
            simulation: simulation.to_owned(),
            root,
            parameters: self.parameters.iter().cloned().collect(),
            environment,
            ..ShardSpec::default()
        })
    }
}

/// `file:line:column: message`, then the excerpt with its caret.
pub fn print_problem(problem: &Problem) {
    let mut place = String::new();
    if let Some(file) = &problem.file {
        place.push_str(file);
        for part in [problem.line, problem.column].into_iter().flatten() {
            place.push_str(&format!(":{part}"));
        }
        place.push_str(": ");
    }
    tell(format!("{place}error: {}", problem.message));
    if let Some(excerpt) = &problem.excerpt {
        tell(excerpt.trim_end());
    }
}

pub fn exit_of(kind: ProblemKind) -> Exit {
    match kind {
        ProblemKind::Script | ProblemKind::ScriptLimit | ProblemKind::FileInvalid => {
            Exit::BadScript
        }
        ProblemKind::FileMissing => Exit::NoInput,
        ProblemKind::Crash => Exit::Error,
        ProblemKind::Internal => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_key_and_value() {
        assert_eq!(parameter("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(parameter("a").is_err() && parameter("=b").is_err());
    }

    #[test]
    fn the_root_is_the_project_or_the_files_own_folder() {
        let temp = tempfile::tempdir().unwrap();
        let source = temp.path().join("p/src");
        std::fs::create_dir_all(&source).unwrap();
        assert_eq!(project_root(&source.join("a.ts")), source);
        std::fs::write(temp.path().join("p/package.json"), "{}").unwrap();
        assert_eq!(project_root(&source.join("a.ts")), temp.path().join("p"));
    }
}
