// stopLoadGeneratorIf: assertions are evaluated, sleeping users are abandoned, exit 0.
import { exec, stopLoadGeneratorIf, stopLoadGenerator, pause, scenario, atOnceUsers, global, simulation, nothingFor, rampUsers } from "@gatling.io/core";
import { protocol, say, ms } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    scenario("sleeper").exec(say("1"), pause(5), say("never")).injectOpen(atOnceUsers(1)),
    scenario("stopper").exec(stopLoadGeneratorIf("no", (s) => false), pause(ms(800)), say("2"), stopLoadGenerator("enough"), say("never")).injectOpen(atOnceUsers(1)),
    scenario("late").exec(say("never")).injectOpen(nothingFor(8), rampUsers(2).during(1)),
  ).protocols(protocol).assertions(global().failedRequests().count().is(0), global().allRequests().count().gte(1));
});
