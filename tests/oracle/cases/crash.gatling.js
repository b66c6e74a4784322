// crashLoadGenerator: no assertions, exit 1.
import { crashLoadGenerator, crashLoadGeneratorIf, scenario, atOnceUsers, global, simulation, pause } from "@gatling.io/core";
import { protocol, say, ms } from "./lib.js";

export default simulation((setUp) => {
  setUp(
    scenario("crasher").exec(say("1"), crashLoadGeneratorIf("no", (s) => false), pause(ms(300)), crashLoadGeneratorIf("because", (s) => true), say("never")).injectOpen(atOnceUsers(1)),
  ).protocols(protocol).assertions(global().failedRequests().count().is(0));
});
