// Refused before anything starts: a ramp of rates for no time
import { scenario, atOnceUsers, constantUsersPerSec, rampUsersPerSec, rampUsers, simulation, exec, randomSwitch, percent, doSwitch, onCase, uniformRandomSwitch, roundRobinSwitch, pause, repeat, group, dummy } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say, one } from "./lib.js";

const user = atOnceUsers(1);
export default simulation((setUp) => {
  setUp(scenario("x").exec(say("a")).injectOpen(rampUsersPerSec(1).to(2).during(0)));
});
