// A small shop: people browse, most leave, some buy.
//
//   onrush run shop.gatling.js target=http://127.0.0.1:7480 rate=20 duration=30

import {
  ElFileBody, StringBody, atOnceUsers, constantUsersPerSec, csv, doIf, exec, exitHereIfFailed, feed,
  getParameter, global, group, jsonPath, pause, percent, randomSwitch, scenario, simulation,
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const target = getParameter("target", "http://127.0.0.1:7480");
const rate = Number(getParameter("rate", "10"));
const duration = Number(getParameter("duration", "10"));

const shop = http
  .baseUrl(target)
  .acceptHeader("application/json")
  .userAgentHeader("onrush-example");

// Every user gets the next line of the file; after the last comes the first again.
const users = csv("users.csv").circular();

const browse = group("Browse").on(
  http("Home").get("/").check(status().is(200)),
  pause({ amount: 200, unit: "milliseconds" }),
  http("Products")
    .get("/products")
    .queryParam("country", "#{country}")
    .check(status().is(200), jsonPath("$.items[3].id").ofInt().saveAs("productId")),
);

const login = exec(
  http("Login")
    .post("/login")
    .body(StringBody('{"username": "#{user}", "password": "#{password}"}'))
    .asJson()
    .check(status().is(200), jsonPath("$.token").saveAs("token")),
  exitHereIfFailed(),
);

// A function of the session runs between requests; what it returns is the user's new session.
const decide = exec((session) => {
  const quantity = session.get("country") === "us" ? 3 : 1;
  if (session.userId() <= 20) {
    console.log(`${session.get("user")} buys ${quantity} of product ${session.get("productId")}`);
  }
  return session.set("quantity", quantity);
});

const buy = group("Buy").on(
  login,
  decide,
  http("Order")
    .post("/cart")
    .header("Authorization", "Bearer #{token}")
    .body(ElFileBody("order.json"))
    .asJson()
    .check(status().in(200, 201), jsonPath("$.items[0].product").saveAs("ordered")),
  doIf("#{ordered.exists()}").then(
    http("Cart").get("/cart").header("Authorization", "Bearer #{token}"),
  ),
);

const customer = scenario("Customer").exec(
  feed(users),
  browse,
  pause({ amount: 300, unit: "milliseconds" }),
  randomSwitch().on(
    percent(40).then(buy),
    percent(20).then(http("Next page").get("/products?page=2").check(status().is(200))),
  ),
);

export default simulation((setUp) => {
  setUp(customer.injectOpen(atOnceUsers(1), constantUsersPerSec(rate).during(duration)))
    .protocols(shop)
    .assertions(
      global().failedRequests().percent().lt(1),
      global().responseTime().percentile(95).lt(1000),
    );
});
