// The load of the runs that measure losses (`tests/chaos.sh --acceptance`), in one of three shapes:
// open users of two requests, closed users of one that is held, users that take a record each.
import {
  constantConcurrentUsers, constantUsersPerSec, csv, getParameter, global, scenario, simulation
} from "@gatling.io/core";
import { http, status } from "@gatling.io/http";

const named = (name, path) =>
  http(name).get(path).header("x-request-name", name).check(status().is(200));

export default simulation((setUp) => {
  const shape = getParameter("shape", "open");
  const rate = Number(getParameter("rate", "1000"));
  const seconds = Number(getParameter("duration", "60"));

  const visit = scenario("visit")
    .exec((session) => session.set("arrival", session.userId() - 1))
    .exec(named("first", "/echo?arrival=#{arrival}"))
    .pause(0.5)
    .exec(named("second", "/echo?arrival=#{arrival}"));

  const hold = scenario("hold").exec(named("held", "/delay/500"));

  const take = () => {
    const rows = csv("rows.csv");
    return scenario("take")
      .feed(shape === "shuffle" ? rows.shuffle() : rows.queue())
      .exec(named("row", "/echo?arrival=#{id}"));
  };

  const open = constantUsersPerSec(rate).during(seconds);
  const load = () => {
    switch (shape) {
      case "open": return visit.injectOpen(open);
      case "closed": return hold.injectClosed(constantConcurrentUsers(rate).during(seconds));
      default: return take().injectOpen(open);
    }
  };

  setUp(load())
    .protocols(http.baseUrl(getParameter("target")))
    .assertions(global().failedRequests().count().is(0));
});
