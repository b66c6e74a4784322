// How many users: rampUsersPerSec(1).to(6).during(3).randomized()
// @offsets random
import { scenario, dummy, constantUsersPerSec, rampUsersPerSec } from "@gatling.io/core";
import { run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(rampUsersPerSec(1).to(6).during(3).randomized()));
