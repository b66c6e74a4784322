// Offsets of: constantUsersPerSec(0.7).during(5)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(constantUsersPerSec(0.7).during(5)));
