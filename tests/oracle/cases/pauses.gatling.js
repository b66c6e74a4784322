// Pause types: setUp's, the population's, the pause's own.
// @times 110
import { exec, pause, scenario, atOnceUsers, simulation } from "@gatling.io/core";
import { protocol, say, ms } from "./lib.js";

const steps = (name) => scenario(name).exec(say("0"), pause(ms(400)), say("1"), pause(ms(300), "Constant"), say("2"), pause(ms(300), "Disabled"), say("3"), pause(ms(200), ms(201)), say("4")).injectOpen(atOnceUsers(1));
export default simulation((setUp) => {
  setUp(steps("default"), steps("constant").constantPauses(), steps("disabled").disablePauses(), steps("custom").customPauses(() => 150)).protocols(protocol);
});
