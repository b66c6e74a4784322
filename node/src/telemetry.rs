//! The process's log: to stderr, as text or JSON lines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The libraries below us say too much at `info`.
const QUIET: &str = "libp2p=warn,libp2p_swarm=warn,libp2p_gossipsub=error,multistream_select=warn,openraft=error,\
     yamux=warn";

/// Starts logging. `level` is a level (`info`) or a filter (`onrush_node::net=debug,info`).
///
/// # Errors
/// A filter that cannot be read, or logging that was started before.
pub fn init(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|error| format!("--log-level '{level}': {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).try_init()
        }
    };
    started.map_err(|error| error.to_string())
}
