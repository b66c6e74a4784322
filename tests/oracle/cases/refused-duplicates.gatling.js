// Refused before anything starts: two scenarios of one name
import { scenario, atOnceUsers, constantUsersPerSec, rampUsersPerSec, rampUsers, simulation, exec, randomSwitch, percent, doSwitch, onCase, uniformRandomSwitch, roundRobinSwitch, pause, repeat, group, dummy } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say, one } from "./lib.js";

const user = atOnceUsers(1);
export default simulation((setUp) => {
  setUp(one("x", say("a")), one("x", say("b")));
});
