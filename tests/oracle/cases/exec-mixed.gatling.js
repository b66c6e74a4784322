// A function beside other arguments of one exec.
// @differs * | all run, in order | `exec(fn, more…)`
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("mixed", exec((s) => s.set("a", 1), say("#{a}"), say("more")), say("after #{a}")));
