// roundRobinSwitch: one counter for all users of the scenario.
import { roundRobinSwitch, scenario, rampUsers, atOnceUsers, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("alone", repeat(4).on(roundRobinSwitch().on(say("a"), say("b"), say("c")))),
  scenario("users").exec(roundRobinSwitch().on(say("a"), say("b"), say("c"))).injectOpen(rampUsers(4).during(4)),
);
