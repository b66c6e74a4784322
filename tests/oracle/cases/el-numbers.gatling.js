// Whole numbers that JavaScript holds as doubles.
// @differs sent.el.0.* | whole numbers print as such | whole numbers of JavaScript
import { exec } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("el", exec((s) => s.set("list", [1, 2.5]).set("big", 1700000000000).set("sum", 0.1 + 0.2)), say("#{list} #{big}"), say("#{sum}")),
);
