// The load of the chaos runs: every request carries its name and whose it is, so that the target can
// tell each arrival's requests from those of all others. Three requests a user.
import { constantUsersPerSec, getParameter, global, scenario, simulation } from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const named = (name) =>
  http(name).get("/echo?arrival=#{arrival}").header("x-request-name", name).check(status().is(200));

export default simulation((setUp) => {
  const rate = Number(getParameter("rate", "60"));
  const seconds = Number(getParameter("duration", "15"));

  const visit = scenario("visit")
    .exec((session) => session.set("arrival", session.userId() - 1))
    .exec(named("first"))
    .pause(0.3)
    .exec(named("second"))
    .pause(0.2, 0.6)
    .exec(named("third"));

  setUp(visit.injectOpen(constantUsersPerSec(rate).during(seconds)))
    .protocols(http.baseUrl(getParameter("target")))
    .assertions(global().failedRequests().count().is(0));
});
