// A visit to the shop without session functions: tests/bin/browse.rs is the same in Rust, and both
// give the same graph.
//
//   onrush run browse.gatling.js target=http://127.0.0.1:7480 rate=5 duration=10

import {
  constantUsersPerSec, csv, exec, feed, getParameter, global, group, jsonPath, pause,
  percent, rampUsersPerSec, randomSwitch, repeat, scenario, simulation, StringBody, substring,
  tryMax,
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const rate = Number(getParameter("rate", "5"));
const duration = Number(getParameter("duration", "10"));
const users = csv("users.csv").circular();

const look = group("Look").on(
  http("Home").get("/").check(status().is(200), substring("Shop")),
  pause({ amount: 250, unit: "milliseconds" }),
  repeat(2, "page").on(
    http("Products").get("/products").queryParam("page", "#{page}")
      .check(jsonPath("$.items[2].id").ofInt().saveAs("product")),
  ),
);

const login = tryMax(2).on(
  http("Login").post("/login").body(StringBody('{"username": "#{user}", "password": "x"}'))
    .asJson().check(status().in(200, 201), jsonPath("$.token").saveAs("token")),
);

const order = http("Order").post("/cart").header("Authorization", "Bearer #{token}")
  .body(StringBody('{"product": #{product}}')).asJson().check(status().is(201));

const buy = exec(login, pause(1, 2)).doIfOrElse("#{token.exists()}")
  .then(order)
  .orElse(http("Help").get("/help"));

const visitor = scenario("Visitor").exec(
  feed(users), look, randomSwitch().on(percent(50).then(buy)),
);

export default simulation((setUp) => {
  setUp(
    visitor.injectOpen(
      rampUsersPerSec(0).to(rate).during(duration / 2),
      constantUsersPerSec(rate).during(duration / 2).randomized(),
    ),
  )
    .protocols(
      http.baseUrl(getParameter("target", "http://127.0.0.1:7480"))
        .header("Accept", "application/json"),
    )
    .assertions(global().failedRequests().percent().lt(1));
});
