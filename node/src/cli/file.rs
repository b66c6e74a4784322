//! `onrush file`: the file repository of a project.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use futures::StreamExt as _;
use onrush_api::client::Client;
use tokio::io::AsyncWriteExt as _;

use super::exit::{Exit, fail};
use super::remote::with_client;
use super::{Global, output, tell};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Project
    #[arg(long, short, global = true, default_value = "default", env = "ONRUSH_PROJECT")]
    project: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Upload files; a folder is uploaded with all that is in it
    Put {
        #[arg(required = true)]
        local: Vec<PathBuf>,
        /// Folder in the repository to put them in, or the path of a single file
        #[arg(long)]
        to: Option<String>,
    },
    /// Files of the project
    List {
        /// Only paths that begin so
        prefix: Option<String>,
        /// All versions
        #[arg(long)]
        versions: bool,
    },
    /// Download a file: PATH or PATH@VERSION
    Get {
        path: String,
        /// Where to write it; - for stdout. By default, the file's name in this folder
        #[arg(short = 'O', long)]
        output: Option<PathBuf>,
    },
    /// Delete a file with its versions, or PATH@VERSION
    Rm { path: String },
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let project = args.project;
    with_client(global, async |client| {
        match args.action {
            Action::Put { local, to } => put(global, &client, &project, &local, to).await?,
            Action::List { prefix, versions } => {
                list(global, &client, &project, prefix, versions).await?;
            }
            Action::Get { path, output } => get(&client, &project, &path, output).await?,
            Action::Rm { path } => {
                let (path, version) = split_version(&path)?;
                client.delete_file(&project, path, version).await?;
                tell(format!("deleted {path}"));
            }
        }
        Ok(Exit::Ok)
    })
}

/// `users.csv@3`: version 3.
fn split_version(text: &str) -> anyhow::Result<(&str, Option<u64>)> {
    let Some((path, version)) = text.rsplit_once('@') else { return Ok((text, None)) };
    let version = version
        .parse()
        .map_err(|_| fail(Exit::Usage, format!("{text}: after @ comes the number of a version")))?;
    Ok((path, Some(version)))
}

async fn put(
    global: &Global,
    client: &Client,
    project: &str,
    local: &[PathBuf],
    to: Option<String>,
) -> anyhow::Result<()> {
    let mut uploads = Vec::new();
    for path in local {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            fail(Exit::Usage, format!("{} has no name of its own", path.display()))
        })?;
        if path.is_dir() {
            let prefix = to.clone().unwrap_or_else(|| name.to_owned());
            super::upload::folder(path, prefix.trim_end_matches('/'), &mut uploads)?;
            continue;
        }
        let target = match &to {
            Some(to) if local.len() == 1 && !to.ends_with('/') => to.clone(),
            Some(to) => format!("{}/{name}", to.trim_end_matches('/')),
            None => name.to_owned(),
        };
        uploads.push(super::upload::Upload { local: path.clone(), path: target });
    }
    let files = super::upload::send(global, client, project, &uploads).await?;
    if global.is_json() {
        output::json(&files)?;
    }
    Ok(())
}

async fn list(
    global: &Global,
    client: &Client,
    project: &str,
    prefix: Option<String>,
    versions: bool,
) -> anyhow::Result<()> {
    let mut cursor = None;
    let mut all: Option<onrush_api::page::Page<_>> = None;
    loop {
        let page = client.files(project, prefix.clone(), versions, Some(500), cursor).await?;
        cursor = page.next_cursor.clone();
        match &mut all {
            Some(all) => all.items.extend(page.items),
            None => all = Some(page),
        }
        if cursor.is_none() {
            break;
        }
    }
    let Some(mut page) = all else { return Ok(()) };
    page.next_cursor = None;
    if global.is_json() {
        return output::json(&page);
    }
    let rows = page.items.into_iter().map(|file| {
        vec![
            file.path,
            file.version.to_string(),
            output::bytes(file.size),
            output::short(file.digest.trim_start_matches("blake3:")),
            output::time(&file.uploaded_at),
            file.uploaded_by,
        ]
    });
    output::table(&["PATH", "VERSION", "SIZE", "DIGEST", "UPLOADED", "BY"], rows)
}

async fn get(
    client: &Client,
    project: &str,
    path: &str,
    output: Option<PathBuf>,
) -> anyhow::Result<()> {
    let (path, version) = split_version(path)?;
    let body = client.get_file(project, path, version).await?;
    let name = path.rsplit('/').next().unwrap_or(path);
    save(body, output.unwrap_or_else(|| PathBuf::from(name))).await
}

/// Writes a streamed answer to a file, or to stdout for `-`. A download that breaks off leaves
/// nothing under the final name.
pub(super) async fn save(
    mut body: onrush_api::client::Body,
    target: PathBuf,
) -> anyhow::Result<()> {
    if target == Path::new("-") {
        let mut out = tokio::io::stdout();
        while let Some(chunk) = body.next().await {
            out.write_all(&chunk?).await?;
        }
        return Ok(out.flush().await?);
    }
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let cannot = || format!("cannot write {}", target.display());
    let written = async {
        let mut file = tokio::fs::File::create(&part).await?;
        while let Some(chunk) = body.next().await {
            file.write_all(&chunk?).await?;
        }
        file.sync_all().await?;
        tokio::fs::rename(&part, &target).await
    };
    let written: std::io::Result<()> = written.await;
    if written.is_err() {
        // There may be nothing to remove.
        let _ = tokio::fs::remove_file(&part).await;
    }
    written.with_context(cannot)?;
    tell(format!("wrote {}", target.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_after_the_last_at() {
        assert_eq!(split_version("a.csv").unwrap(), ("a.csv", None));
        assert_eq!(split_version("a@b/c.csv@3").unwrap(), ("a@b/c.csv", Some(3)));
        assert!(split_version("a.csv@x").is_err());
    }
}
