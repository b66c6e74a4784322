//! `onrush completions SHELL` (hidden: packages have them): the completions of a shell, to stdout.

use std::io::Write as _;
use std::process::ExitCode;

use clap_complete::Shell;

use super::Global;
use super::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub fn run(_: &Global, args: Args) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(&completions(args.shell))?;
    Ok(Exit::Ok.into())
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut shown(&super::command()), "onrush", &mut text);
    text
}

/// The command without what is hidden. The generators know nothing of that, and clap takes no
/// subcommand out again: so it is made anew.
fn shown(command: &clap::Command) -> clap::Command {
    let subcommands = command.get_subcommands().filter(|it| !it.is_hide_set());
    clap::Command::new("onrush")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(command.get_arguments().cloned())
        .subcommands(subcommands.cloned())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn names(command: &clap::Command) -> Vec<String> {
        let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
        shown.flat_map(|it| [vec![it.get_name().to_owned()], names(it)].concat()).collect()
    }

    #[test]
    fn all_subcommands_are_completed_and_nothing_that_is_hidden() {
        let command = super::super::command();
        let names = names(&command);
        assert!(names.iter().any(|name| name == "submit"), "{names:?}");
        for &shell in Shell::value_variants() {
            let text = String::from_utf8(completions(shell)).expect("UTF-8");
            for name in &names {
                assert!(text.contains(name.as_str()), "{shell}: {name} is not in it");
            }
            for option in ["contact-points", "cluster-secret-file", "follow"] {
                assert!(text.contains(option), "{shell}: --{option} is not in it");
            }
            for hidden in command.get_subcommands().filter(|it| it.is_hide_set()) {
                // By its description, or, in bash, which has none, by its case.
                let (name, about) = (hidden.get_name(), hidden.get_about().expect("about"));
                let found = [about.to_string(), format!("onrush,{name})")];
                assert!(!found.iter().any(|it| text.contains(it)), "{shell}: {name} is hidden");
            }
        }
    }
}
