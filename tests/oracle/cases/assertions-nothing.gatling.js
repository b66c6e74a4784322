// Not one request.
// @differs exit | nothing was measured: inconclusive, exit code 4 | a run without a request
import { global, forAll, details, scenario, atOnceUsers, simulation, exec, pause } from "@gatling.io/core";
import { protocol } from "./lib.js";

export default simulation((setUp) => {
  setUp(scenario("a").exec(exec((s) => s)).injectOpen(atOnceUsers(1))).protocols(protocol)
    .assertions(global().failedRequests().percent().lt(1), global().successfulRequests().percent().lt(1), global().allRequests().count().is(0), global().responseTime().max().lt(5), global().requestsPerSec().lt(1), forAll().failedRequests().count().is(0), details("x").allRequests().count().is(0));
});
