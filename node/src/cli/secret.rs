//! `onrush secret new`: a cluster secret of 256 random bits in base64, to stdout or to a file that
//! only its owner can read. Refuses to overwrite.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use rand::TryRngCore as _;

use super::exit::Exit;
use super::{Global, say, tell};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print a new secret, or write it to a file with mode 0600
    New {
        /// Where to write it; must not exist yet
        file: Option<PathBuf>,
    },
}

pub fn run(_: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let Action::New { file } = args.action;
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("the system has no random numbers")?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    match file {
        None => say(text)?,
        Some(path) => {
            let mut target = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
            writeln!(target, "{text}").and_then(|()| target.sync_all())?;
            tell(format!("wrote {}; give every node the same file", path.display()));
        }
    }
    Ok(Exit::Ok.into())
}
