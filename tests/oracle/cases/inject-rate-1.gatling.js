// Offsets of: constantUsersPerSec(2).during(3)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(constantUsersPerSec(2).during(3)));
