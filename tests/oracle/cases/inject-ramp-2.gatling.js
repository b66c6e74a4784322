// Offsets of: rampUsers(7).during(2), nothingFor(1), atOnceUsers(2), rampUsers(3).during(ms(2500))
import { scenario, dummy, exec, atOnceUsers, nothingFor, rampUsers, constantUsersPerSec, rampUsersPerSec, stressPeakUsers, incrementUsersPerSec } from "@gatling.io/core";
import { ms, run } from "./lib.js";

export default run(scenario("a").exec(dummy("d", 1)).injectOpen(rampUsers(7).during(2), nothingFor(1), atOnceUsers(2), rampUsers(3).during(ms(2500))));
