// The words of assertions, and what zero, missing paths and groups give.
// @differs assertions | requests by path | `forAll()`
import { global, forAll, details, scenario, group, dummy, atOnceUsers, simulation, repeat } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say } from "./lib.js";
/* pages
/bad 500
*/
export default simulation((setUp) => {
  setUp(
    scenario("a").exec(repeat(3).on(say("x", "one")), http("bad").get("/bad"), group("g").on(say("y", "two"), group("h").on(say("z", "three")))).injectOpen(atOnceUsers(1)),
  ).protocols(protocol).assertions(
    global().allRequests().count().is(6), global().failedRequests().count().lt(2), global().successfulRequests().percent().gt(50),
    global().failedRequests().percent().lte(16), global().allRequests().percent().is(100), global().successfulRequests().count().in(1, 5),
    global().allRequests().count().in(), global().allRequests().count().between(1, 6), global().allRequests().count().between(1, 6, false),
    global().allRequests().count().around(5, 1), global().allRequests().count().around(5, 1, false), global().allRequests().count().deviatesAround(5, 0.2), global().allRequests().count().deviatesAround(7, 0.1, false),
    global().responseTime().max().lt(5000), global().responseTime().min().gte(0), global().responseTime().mean().between(0, 5000), global().responseTime().stdDev().lt(5000),
    global().responseTime().percentile1().lt(5000), global().responseTime().percentile2().lt(5000), global().responseTime().percentile3().lt(5000), global().responseTime().percentile4().lt(5000),
    global().responseTime().percentile(1).lt(5000), global().responseTime().percentile(2).lt(5000), global().responseTime().percentile(3).lt(5000), global().responseTime().percentile(21).lt(5000), global().responseTime().percentile(33.3).lt(5000), global().responseTime().percentile(11).lt(5000), global().responseTime().percentile(112 / 10).lt(5000), global().responseTime().percentile(99.99).lt(5000), global().responseTime().percentile(100).lt(5000),
    global().requestsPerSec().gt(0), global().requestsPerSec().is(-1),
    details("one").allRequests().count().is(3), details("one").failedRequests().count().is(0), details("one").failedRequests().percent().is(0), details("bad").successfulRequests().percent().is(0),
    details("g").allRequests().count().is(1), details("g", "two").allRequests().count().is(1), details("g", "h", "three").allRequests().count().is(1), details("g", "h").failedRequests().count().is(0), details("nope").allRequests().count().is(0), details("g", "nope").responseTime().max().lt(5),
    details("two").allRequests().count().is(1), details().allRequests().count().is(6),
    forAll().failedRequests().count().lt(1), forAll().responseTime().max().lt(5000), forAll().allRequests().percent().is(100),
  );
});
