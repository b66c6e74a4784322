// Profiles of no step, steps over no time and stairs of no level start nobody, or everybody at once.
import {
  atOnceUsers, constantConcurrentUsers, constantUsersPerSec, incrementUsersPerSec, nothingFor, pause, rampConcurrentUsers,
  rampUsers, rampUsersPerSec, scenario, stressPeakUsers,
} from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const open = (name, ...steps) => scenario(name).exec(say(name)).injectOpen(...steps);
const closed = (name, ...steps) => scenario(name).exec(say(name), pause(1)).injectClosed(...steps);

export default run(
  one("somebody", say("here")),
  open("no step"),
  closed("none at once"),
  open("no level", incrementUsersPerSec(1).times(0).eachLevelLasting(1).startingFrom(2)),
  open("no rate", constantUsersPerSec(0).during(0), rampUsersPerSec(0).to(0).during(0), nothingFor(0)),
  open("at once", rampUsers(3).during(0), stressPeakUsers(2).during(0), atOnceUsers(0), rampUsers(0).during(0)),
  closed("a jump", rampConcurrentUsers(1).to(3).during(0), constantConcurrentUsers(1).during(2)),
);
