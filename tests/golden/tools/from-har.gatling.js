// left out: requests for images, styles, scripts and fonts (1); --keep-static keeps them

import { ElFileBody, StringBody, atOnceUsers, pause, scenario, simulation } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const httpProtocol = http
  .baseUrl("http://127.0.0.1:7480")
  .userAgentHeader("Browser/1.0")
  .acceptLanguageHeader("en");

const scn = scenario("Onrush shop").exec(
  http("GET /redirect/1").get("/redirect/1")
    .header("Accept", "text/html")
    .check(status().is(200)),
  pause(2),
  http("POST /login").post("/login")
    .header("Accept", "application/json")
    .header("Content-Type", "application/json")
    .body(StringBody(`{"username": "ada", "password": "lovelace"}`))
    .check(status().is(200)),
  pause({ amount: 1250, unit: "milliseconds" }),
  // hint: token-ada came from "POST /login": save it there with jsonPath("$.token").saveAs("token") and write #{token} here
  http("POST /cart").post("/cart")
    .header("Accept", "application/json")
    .header("Authorization", "Bearer token-ada")
    .header("Content-Type", "application/json")
    .body(ElFileBody("shop/001-post-cart.json"))
    .check(status().is(201)),
  // hint: c5rf-70k3n came from "GET /redirect/1": save it there with css("input[name='csrf']", "value").saveAs("csrf") and write #{csrf} here
  http("POST /echo").post("/echo")
    .header("Accept", "application/json")
    .formParam("csrf", "c5rf-70k3n")
    .formParam("q", "a b!")
    .check(status().is(200)),
);

export default simulation((setUp) => {
  setUp(scn.injectOpen(atOnceUsers(1))).protocols(httpProtocol);
});
