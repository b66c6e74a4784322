// percentile(101).
// @differs * | refused when loaded | values that Gatling finds wrong
import { global, scenario, atOnceUsers, simulation } from "@gatling.io/core";
import { protocol, say } from "./lib.js";

export default simulation((setUp) => {
  setUp(scenario("a").exec(say("x")).injectOpen(atOnceUsers(1))).protocols(protocol).assertions(global().responseTime().percentile(101).lt(5));
});
