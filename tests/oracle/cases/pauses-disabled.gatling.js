// disablePauses on setUp; a population's own type wins.
// @times 110
import { exec, pause, scenario, atOnceUsers, simulation } from "@gatling.io/core";
import { protocol, say, ms } from "./lib.js";

const steps = (name) => scenario(name).exec(say("0"), pause(1), say("1"), pause(ms(300), "Constant"), say("2")).injectOpen(atOnceUsers(1));
export default simulation((setUp) => {
  setUp(steps("default"), steps("constant").constantPauses()).protocols(protocol).disablePauses();
});
