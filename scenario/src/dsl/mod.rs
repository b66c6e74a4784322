//! Simulations in Rust: fluent builders over the graph of [`crate::ir`], and nothing besides it.
//! What they build can be run by the program itself ([`main`]), exported, and submitted to a
//! cluster like a script. There are no session functions: a closure cannot travel in the graph.
//!
//! ```
//! use std::process::ExitCode;
//! use std::time::Duration;
//!
//! use onrush_scenario::dsl::*;
//! use onrush_scenario::ir::Simulation;
//!
//! fn shop(parameters: &Parameters) -> Result<Simulation, String> {
//!     let mut shop = simulation("shop");
//!     let users = shop.feeder(csv("users.csv").circular());
//!     let home = http("Home").get("/").check(status().is(200));
//!     let login = http("Login")
//!         .post("/login")
//!         .body(string_body(r##"{"username": "#{user}"}"##))
//!         .as_json()
//!         .check(json_path("$.token").save_as("token"));
//!     let visit = chain()
//!         .feed(users)
//!         .group("Visit", chain().exec(home).pause(Duration::from_secs(1)).exec(login))
//!         .do_if("#{token.exists()}", chain().exec(http("Cart").get("/cart")));
//!     let rate = constant_users_per_sec(parameters.number("rate", 5.0)?);
//!     shop.population(
//!         scenario("Visitors", visit).inject_open([rate.during(Duration::from_secs(30))]),
//!     )
//!     .protocol(http_protocol().base_url(parameters.text("target", "http://127.0.0.1:7480")))
//!     .assertion(global(Target::FailedPercent).lt(1.0))
//!     .build()
//! }
//!
//! fn main() -> ExitCode {
//!     # if true { return ExitCode::from(shop(&Parameters::default()).map_or(1, |_| 0)); }
//!     onrush_scenario::main(shop)
//! }
//! ```
//!
//! The program has two commands: `run [key=value …]`, and `export FILE [key=value …]`, whose file
//! `onrush run` and `onrush job submit` take like a script.

mod chain;
mod check;
mod http;
mod main;
mod profile;
mod simulation;
mod value;

pub use chain::{Chain, chain};
pub use check::{
    Check, body_string, css, header, jmes_path, json_path, regex, response_time, status, substring,
};
pub use http::{
    HttpProtocol, HttpRequest, Method, el_file_body, http, http_protocol, raw_file_body,
    string_body,
};
pub use main::{Parameters, main};
pub use profile::{
    Timed, at_once_users, constant_concurrent_users, constant_users_per_sec, nothing_for,
    ramp_concurrent_users, ramp_users, ramp_users_per_sec, stress_peak_users,
};
pub use simulation::{
    Asserted, Feeder, FeederRef, PopulationBuilder, ScenarioBuilder, SimulationBuilder, csv,
    details, for_all, global, json_file, records, scenario, simulation,
};
pub use value::IntoExpr;

pub use crate::check::JsonType;
pub use crate::stats::assertion::Target;
