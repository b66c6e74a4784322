// throttle: limits by second, spacing, redirects and resources pass it, pauses are disabled.
// @times 160
import { scenario, repeat, pause, reachRps, holdFor, jumpToRps, atOnceUsers, simulation } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    scenario("a").exec(repeat(20, "i").on(say("#{i}"), pause(1))).injectOpen(atOnceUsers(1)),
  ).protocols(protocol).throttle(reachRps(4).in(2), holdFor(1), jumpToRps(2), holdFor(2));
});
