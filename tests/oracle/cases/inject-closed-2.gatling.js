// When users start: rampConcurrentUsers(0).to(3).during(3), constantConcurrentUsers(3).during(1). Each lasts 1.3 s.
// @times 150
import { scenario, pause, constantConcurrentUsers, rampConcurrentUsers, incrementConcurrentUsers } from "@gatling.io/core";
import { ms, run, say } from "./lib.js";

export default run(scenario("a").exec(say("start"), pause(ms(1300))).injectClosed(rampConcurrentUsers(0).to(3).during(3), constantConcurrentUsers(3).during(1)));
