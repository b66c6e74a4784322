//! `onrush man DIR` (hidden: packages have them): a manual page for each command, from what `--help`
//! is made of.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Global;
use super::exit::{self, Exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the pages are written; made if absent
    dir: PathBuf,
}

pub fn run(_: &Global, args: Args) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&args.dir).with_context(|| args.dir.display().to_string())?;
    for (name, text) in pages()? {
        let path = args.dir.join(Path::new(&name));
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(Exit::Ok.into())
}

/// Names of files and their texts.
fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut root = super::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages)?;
    Ok(pages)
}

fn add(
    command: &Command,
    parent: Option<&str>,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone()).source(format!("onrush {version}")).manual("Onrush");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let shown = || command.get_subcommands().filter(|it| !it.is_hide_set());
    if shown().next().is_some() {
        man.render_subcommands_section(&mut text)?;
    }
    match parent {
        None => exit_status().to_writer(&mut text)?,
        Some(parent) => see_also(parent).to_writer(&mut text)?,
    }
    pages.push((format!("{name}.1"), text));
    for subcommand in shown() {
        add(subcommand, Some(name), pages)?;
    }
    Ok(())
}

/// What `--help` says at its end, as a list.
fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::HELP.lines().filter_map(|line| line.trim().split_once("  ")) {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning.trim())]);
    }
    roff
}

fn see_also(parent: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman("That of all commands: see "), bold("onrush"), roman("(1).")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(parent), roman("(1)")]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
        let file = format!("{name}.1");
        let at = pages.iter().position(|(page, _)| *page == file);
        let at = at.ok_or_else(|| format!("{file} is missing")).expect("every command has a page");
        let (_, text) = pages.remove(at);
        let text = String::from_utf8(text).expect("UTF-8").replace("\\-", "-");
        assert!(text.contains(&format!("{name} - ")), "{file} does not say what it is");
        for option in command.get_arguments().filter(|it| !it.is_hide_set()) {
            if let Some(long) = option.get_long() {
                assert!(text.contains(&format!("--{long}")), "{file} has no --{long}");
            }
            if let Some(variable) = option.get_env() {
                let variable = variable.to_string_lossy();
                assert!(text.contains(&*variable), "{file} has no {variable}");
            }
        }
        for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            check(subcommand, &format!("{name}-{}", subcommand.get_name()), pages);
        }
    }

    #[test]
    fn every_command_has_its_page() {
        let mut pages = pages().expect("pages");
        let root = String::from_utf8(pages[0].1.clone()).expect("UTF-8");
        for code in [Exit::AssertionsFailed, Exit::Config, Exit::Interrupted] {
            assert!(root.contains(&format!("\\fB{}\\fR", code as u8)), "{code:?}: {root}");
        }
        check(&super::super::command(), "onrush", &mut pages);
        let left: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
        assert!(left.is_empty(), "pages of what is hidden, or of nothing: {left:?}");
    }
}
