// A small shop under load: users browse, and some of them order.
//
//   onrush run src/example.gatling.ts                                 dummies, no network
//   onrush run src/example.gatling.ts target=http://127.0.0.1:8080    a real system

import {
  ElFileBody, constantUsersPerSec, csv, dummy, exec, feed, getParameter, global, group, pause,
  percent, rampUsersPerSec, randomSwitch, scenario, simulation,
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const target = getParameter("target", "");
const rate = Number(getParameter("rate", "5"));
const duration = Number(getParameter("duration", "10"));

const users = csv("users.csv").circular();

const get = (name: string, path: string) =>
  target === "" ? dummy(name, 20) : http(name).get(path).check(status().is(200));

const order =
  target === ""
    ? dummy("Order", 50)
    : http("Order").post("/orders").body(ElFileBody("order.json")).asJson()
        .check(status().in(200, 201));

const shopper = scenario("Shopper").exec(
  feed(users),
  group("Browse").on(
    get("Home", "/"),
    pause({ amount: 200, unit: "milliseconds" }),
    get("Products", "/products"),
  ),
  exec((session) => session.set("product", 1 + (session.userId() % 10))),
  randomSwitch().on(percent(30).then(order)),
);

export default simulation((setUp) => {
  setUp(
    shopper.injectOpen(
      rampUsersPerSec(1).to(rate).during(duration / 2),
      constantUsersPerSec(rate).during(duration / 2),
    ),
  )
    .protocols(http.baseUrl(target === "" ? "http://127.0.0.1" : target))
    .assertions(
      global().failedRequests().percent().lt(1),
      global().responseTime().percentile3().lt(800),
    );
});
