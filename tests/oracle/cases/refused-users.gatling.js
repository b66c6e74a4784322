// Refused before anything starts: a negative number of users
// @differs message | in our own words, with the place | values that Gatling finds wrong
import { scenario, atOnceUsers, constantUsersPerSec, rampUsersPerSec, rampUsers, simulation, exec, randomSwitch, percent, doSwitch, onCase, uniformRandomSwitch, roundRobinSwitch, pause, repeat, group, dummy } from "@gatling.io/core";
import { http } from "@gatling.io/http";
import { protocol, say, one } from "./lib.js";

const user = atOnceUsers(1);
export default simulation((setUp) => {
  setUp(scenario("x").exec(say("a")).injectOpen(atOnceUsers(-1)));
});
