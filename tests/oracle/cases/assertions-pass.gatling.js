// All pass: exit 0. A second assertions() replaces the first.
import { global, scenario, atOnceUsers, simulation } from "@gatling.io/core";
import { protocol, say } from "./lib.js";

export default simulation((setUp) => {
  setUp(scenario("a").exec(say("x")).injectOpen(atOnceUsers(1))).protocols(protocol)
    .assertions(global().allRequests().count().is(99)).assertions(global().allRequests().count().is(1));
});
