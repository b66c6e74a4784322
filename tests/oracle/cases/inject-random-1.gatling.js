// How many users: constantUsersPerSec(3.3).during(3).randomized()
// @offsets random
import { scenario, dummy, constantUsersPerSec, rampUsersPerSec } from "@gatling.io/core";
import { run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(constantUsersPerSec(3.3).during(3).randomized()));
