// Offsets of: stressPeakUsers(3).during(0), rampUsers(2).during(0), rampUsers(0).during(1), atOnceUsers(0), atOnceUsers(1)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(stressPeakUsers(3).during(0), rampUsers(2).during(0), rampUsers(0).during(1), atOnceUsers(0), atOnceUsers(1)));
