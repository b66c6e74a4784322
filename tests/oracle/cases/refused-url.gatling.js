// Refused before anything starts: a literal url that is none
// @differs message | ours names the scenario | a literal url that cannot be sent
import { scenario, atOnceUsers, constantUsersPerSec, rampUsersPerSec, rampUsers, simulation, exec, randomSwitch, percent, doSwitch, onCase, uniformRandomSwitch, roundRobinSwitch, pause, repeat, group, dummy } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say, one } from "./lib.js";

const user = atOnceUsers(1);
export default simulation((setUp) => {
  setUp(one("x", http("u").get("http://[bad/"))).protocols(protocol);
});
