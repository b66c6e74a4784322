// Offsets of: incrementUsersPerSec(2).times(3).eachLevelLasting(1).startingFrom(1)
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(incrementUsersPerSec(2).times(3).eachLevelLasting(1).startingFrom(1)));
