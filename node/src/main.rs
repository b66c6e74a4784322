//! The `onrush` binary: everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    onrush_node::cli::main()
}
