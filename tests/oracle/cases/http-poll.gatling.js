// Polling: at once, then at a fixed rate; what it saves is lost.
// @order any
import { exec, pause, regex } from "@gatling.io/core";
import { http, poll } from "@gatling.io/http";
import { one, run, say, ms } from "./lib.js";

export default run(
  one("poll", exec((s) => s.set("v", "before")), poll().every(1).exec(http("polled").get("/polled?#{v}").check(regex("(ok)").saveAs("v"))), pause(ms(2500)), poll().stop(), say("#{v}"), pause(1)),
);
