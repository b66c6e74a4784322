// A population's own throttle.
// @times 160
import { scenario, repeat, pause, holdFor, jumpToRps, atOnceUsers, simulation } from "@gatling.io/core";
import { protocol, say } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    scenario("held").exec(repeat(6, "i").on(say("#{i}"))).injectOpen(atOnceUsers(1)).throttle(jumpToRps(2), holdFor(4)),
    scenario("free").exec(repeat(4, "i").on(say("#{i}"), pause(1))).injectOpen(atOnceUsers(1)),
  ).protocols(protocol).maxDuration(5);
});
