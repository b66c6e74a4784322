// Offsets of: incrementUsersPerSec(1).times(2).eachLevelLasting(2).separatedByRampsLasting(1)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(incrementUsersPerSec(1).times(2).eachLevelLasting(2).separatedByRampsLasting(1)));
