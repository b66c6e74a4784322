// the collection does not say what {{password}} is: give it to a run, password=value

import { StringBody, atOnceUsers, exec, getParameter, group, scenario, simulation } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

// Each can be given to a run: onrush run … name=value
const variables = {
  "baseUrl": getParameter("baseUrl", "http://127.0.0.1:7480"),
  "user": getParameter("user", "ada"),
  "password": getParameter("password", ""),
};

const httpProtocol = http
  .baseUrl(variables["baseUrl"]);

const scn = scenario("Shop").exec(
  exec((session) => session.setAll(variables)),
  group("Browse").on(
    http("Home").get("/")
      .header("Authorization", "Bearer token-#{user}")
      .check(status().is(200)),
    http("Product").get("/products/7?from=#{randomUuid()}")
      .header("Accept", "text/html")
      .header("Authorization", "Bearer token-#{user}"),
  ),
  // its scripts in the collection are not converted
  http("Log in").post("/login")
    .header("Content-Type", "application/json")
    .body(StringBody(`{
  "username": "#{user}",
  "password": "#{password}"
}`)),
  http("Echo").post("/echo")
    .basicAuth("#{user}", "x")
    .formParam("a", "\\#{b}"),
  http("Form").post("/echo")
    .header("Authorization", "Bearer token-#{user}")
    .formParam("a", "1")
    .asMultipartForm(),
);

export default simulation((setUp) => {
  setUp(scn.injectOpen(atOnceUsers(1))).protocols(httpProtocol);
});
