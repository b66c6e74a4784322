// Offsets of: rampUsersPerSec(4).to(0).during(3), atOnceUsers(1)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(rampUsersPerSec(4).to(0).during(3), atOnceUsers(1)));
