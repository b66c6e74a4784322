// When users start: rampConcurrentUsers(3).to(1).during(3). Each lasts 1.3 s.
// @times 150
import { scenario, pause, constantConcurrentUsers, rampConcurrentUsers, incrementConcurrentUsers } from "@gatling.io/core";
import { ms, run, say } from "./lib.js";

export default run(scenario("a").exec(say("start"), pause(ms(1300))).injectClosed(rampConcurrentUsers(3).to(1).during(3)));
