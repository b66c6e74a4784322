//! A visit to the shop in Rust: `tests/simulations/browse.gatling.js`, line by line. Both give the
//! same graph; this one is a program with `run` and `export`.

use std::process::ExitCode;
use std::time::Duration;

use onrush_scenario::dsl::{
    JsonType, Parameters, Target, chain, constant_users_per_sec, csv, global, http, http_protocol,
    json_path, ramp_users_per_sec, scenario, simulation, status, string_body, substring,
};
use onrush_scenario::ir::Simulation;

/// # Errors
/// A parameter that is no number.
pub(crate) fn browse(parameters: &Parameters) -> Result<Simulation, String> {
    let rate = parameters.number("rate", 5.0)?;
    let half = Duration::from_secs_f64(parameters.number("duration", 10.0)?.clamp(0.0, 1e6) / 2.0);
    let mut browse = simulation("browse");
    let users = browse.feeder(csv("users.csv").circular());

    let product = json_path("$.items[2].id").of(JsonType::Int).save_as("product");
    let products = http("Products").get("/products").query_param("page", "#{page}").check(product);
    let look = chain()
        .exec(http("Home").get("/").check(status().is(200)).check(substring("Shop")))
        .pause(Duration::from_millis(250))
        .repeat_counted(2, "page", chain().exec(products));

    let login = http("Login")
        .post("/login")
        .body(string_body(r##"{"username": "#{user}", "password": "x"}"##))
        .as_json()
        .check(status().one_of([200, 201]))
        .check(json_path("$.token").save_as("token"));
    let order = http("Order")
        .post("/cart")
        .header("Authorization", "Bearer #{token}")
        .body(string_body(r##"{"product": #{product}}"##))
        .as_json()
        .check(status().is(201));
    let buy = chain()
        .try_max(2, chain().exec(login))
        .pause_between(Duration::from_secs(1), Duration::from_secs(2))
        .do_if_or_else(
            "#{token.exists()}",
            chain().exec(order),
            chain().exec(http("Help").get("/help")),
        );

    let visit = chain().feed(users).group("Look", look).random_switch([(50.0, buy)]);
    let visitors = scenario("Visitor", visit).inject_open([
        ramp_users_per_sec(0.0, rate).during(half),
        constant_users_per_sec(rate).during(half).randomized(),
    ]);
    let target = parameters.text("target", "http://127.0.0.1:7480");
    browse
        .population(visitors)
        .protocol(http_protocol().base_url(target).header("Accept", "application/json"))
        .assertion(global(Target::FailedPercent).lt(1.0))
        .build()
}

fn main() -> ExitCode {
    onrush_scenario::main(browse)
}
