// A session that was failed before a group and is marked as failed again inside.
import { exec, group, tryMax } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const mark = exec((s) => s.markAsFailed());
const ok = say("ok", "ok");
export default run(
  one("a", mark, group("marked again").on(mark, ok)),
  one("b", mark, group("reset").on(exec((s) => s.markAsSucceeded().markAsFailed()), ok)),
  one("c", mark, group("thrown again").on(exec(() => { throw new Error("boom"); }), ok)),
  one("d", mark, group("kept").on(exec((s) => s.set("a", 1)), ok)),
  one("e", group("outer").on(mark, group("inner").on(mark, ok))),
);
