// When users start: incrementConcurrentUsers(1).times(2).eachLevelLasting(2).separatedByRampsLasting(1).startingFrom(1). Each lasts 1.3 s.
// @times 150
import { scenario, pause, constantConcurrentUsers, rampConcurrentUsers, incrementConcurrentUsers } from "@gatling.io/core";
import { ms, run, say } from "./lib.js";

export default run(scenario("a").exec(say("start"), pause(ms(1300))).injectClosed(incrementConcurrentUsers(1).times(2).eachLevelLasting(2).separatedByRampsLasting(1).startingFrom(1)));
