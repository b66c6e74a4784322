//! `onrush project`: tenants.

use std::process::ExitCode;

use clap::Subcommand;

use super::exit::Exit;
use super::remote::with_client;
use super::{Global, output, tell};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All projects
    List {
        /// Projects per page
        #[arg(long, default_value_t = 500)]
        limit: usize,
    },
    /// Make a project
    Create { name: String },
    /// Delete a project that has no files and no jobs that run
    Delete { name: String },
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    with_client(global, async |client| {
        match args.action {
            Action::List { limit } => {
                let page = client.projects(Some(limit), None).await?;
                if global.is_json() {
                    output::json(&page)?;
                } else {
                    let rows = page.items.into_iter().map(|project| {
                        vec![
                            project.name,
                            project.files.to_string(),
                            project.live_jobs.to_string(),
                            output::time(&project.created_at),
                            project.created_by,
                        ]
                    });
                    output::table(&["PROJECT", "FILES", "LIVE JOBS", "CREATED", "BY"], rows)?;
                }
            }
            Action::Create { name } => {
                let project = client.create_project(&name).await?;
                if global.is_json() {
                    output::json(&project)?;
                } else {
                    tell(format!("created project {}", project.name));
                }
            }
            Action::Delete { name } => {
                client.delete_project(&name).await?;
                tell(format!("deleted project {name}"));
            }
        }
        Ok(Exit::Ok)
    })
}
