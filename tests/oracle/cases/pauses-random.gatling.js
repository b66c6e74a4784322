// Random pauses stay within their bounds; strange values of pauses.
import { exec, pause, repeat } from "@gatling.io/core";
import { one, run, say, ms } from "./lib.js";

const clock = exec((s) => s.set("t", Date.now()));
const within = (low, high) => exec((s) => s.set("r", Date.now() - s.get("t") >= low - 5 && Date.now() - s.get("t") < high + 150));
export default run(
  one("uniform", clock, pause(ms(200), ms(400)), within(200, 400), say("#{r}")),
  one("plusminus", clock, pause(ms(300), { type: "UniformDuration", plusOrMinus: ms(100) }), within(200, 400), say("#{r}")),
  one("percentage", clock, pause(ms(300), { type: "UniformPercentage", plusOrMinus: 10 }), within(270, 330), say("#{r}")),
  one("custom", clock, pause(ms(300), { type: "Custom", f: () => 100 }), within(100, 100), say("#{r}")),
  one("exponential", clock, pause(ms(10), "Exponential"), within(0, 5000), say("#{r}")),
  one("normal", clock, pause(ms(100), { type: "NormalWithStdDevDuration", stdDev: ms(10) }), within(0, 300), say("#{r}")),
  one("negative", exec((s) => s.set("n", -1)), pause("#{n}"), exec((s) => s.set("was", s.isFailed())), say("#{was}")),
);
