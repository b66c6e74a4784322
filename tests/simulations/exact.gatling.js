// The acceptance runs' simulation: every request carries its name, so that the target can count by
// name what the report counts by name. Four requests a user: `rate` users/s are 4 × rate requests/s.
import {
  constantUsersPerSec, csv, getParameter, global, scenario, simulation
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const named = (name) => http(name).get(`/echo?user=#{user}`).header("x-request-name", name);

export default simulation((setUp) => {
  const rate = Number(getParameter("rate", "500"));
  const seconds = Number(getParameter("duration", "60"));

  const visit = scenario("visit")
    .feed(csv("visitors.csv").circular())
    .exec(named("home").check(status().is(200)))
    .pause(0.2)
    .exec(named("search").check(status().is(200)))
    .exec(named("product").check(status().is(200)))
    .pause(0.1, 0.4)
    .exec(named("basket").check(status().is(200)));

  setUp(visit.injectOpen(constantUsersPerSec(rate).during(seconds)))
    .protocols(http.baseUrl(getParameter("target")))
    .assertions(global().failedRequests().count().is(0));
});
