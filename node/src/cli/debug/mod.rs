//! `onrush debug FILE [key=value …]`: one user of each scenario, once: every request and response
//! as text, what changed in the session, what came of each check. Pauses are leapt over unless
//! asked for; secrets are masked unless asked for; nothing is measured.

mod print;

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use onrush_scenario::engine::debug::{Options, Totals, debug};
use onrush_scenario::secrets::Secrets;

use super::exit::Exit;
use super::local::{self, exit_of, print_problem};
use super::output::thousands;
use super::progress::colour;
use super::{Global, tell};
use print::Printer;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    simulation: local::Simulation,
    /// Only one user, of this scenario
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Sit the pauses out instead of leaping over them
    #[arg(long)]
    pauses: bool,
    /// Show passwords, tokens and cookies as they are
    #[arg(long)]
    show_secrets: bool,
    /// How much of each body is shown
    #[arg(long, default_value_t = 2_000, value_name = "BYTES")]
    body_max: usize,
    /// Requests after which the user is ended: a loop may have no end
    #[arg(long, default_value_t = 100, value_name = "N")]
    requests_max: u64,
    /// Seconds after which the user is ended
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    time_max: u64,
}

pub fn run(global: &Global, args: Args) -> anyhow::Result<ExitCode> {
    let spec = args.simulation.spec()?;
    let options = Options {
        scenario: args.scenario,
        sit_out: args.pauses,
        requests_max: args.requests_max.max(1),
        time_max: Duration::from_secs(args.time_max),
    };
    let printer = Printer {
        json: global.is_json(),
        paint: !global.is_json() && colour(&std::io::stdout()),
        body_max: args.body_max,
        secrets: Secrets::new(args.show_secrets),
        open: String::new(),
    };
    let printer = Rc::new(RefCell::new((printer, Ok(()))));
    let inner = Rc::clone(&printer);
    let outcome = debug(
        &spec,
        &options,
        Box::new(move |event| {
            let (printer, written) = &mut *inner.borrow_mut();
            if written.is_ok() {
                *written = printer.event(&event);
            }
        }),
    );
    // A reader that went away.
    std::mem::replace(&mut printer.borrow_mut().1, Ok(()))?;
    match outcome {
        Err(problem) => {
            print_problem(&problem);
            Ok(exit_of(problem.kind).into())
        }
        Ok(totals) => {
            tell(in_words(totals));
            let bad = totals.failed + totals.unbuilt > 0;
            Ok(if bad { Exit::Error } else { Exit::Ok }.into())
        }
    }
}

fn in_words(totals: Totals) -> String {
    let Totals { requests, failed, unbuilt } = totals;
    let mut text = match requests {
        1 => "1 request".to_owned(),
        _ => format!("{} requests", thousands(requests)),
    };
    text.push_str(&format!(", {} failed", thousands(failed)));
    if unbuilt > 0 {
        text.push_str(&format!(", {} could not be built", thousands(unbuilt)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_read_well() {
        let words = |requests, failed, unbuilt| in_words(Totals { requests, failed, unbuilt });
        assert_eq!(words(1, 0, 0), "1 request, 0 failed");
        assert_eq!(words(7, 2, 1), "7 requests, 2 failed, 1 could not be built");
    }
}
