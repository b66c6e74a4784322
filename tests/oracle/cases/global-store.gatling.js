// GlobalStore: one map for all users.
import { GlobalStore, exec, pause } from "@gatling.io/core";
import { one, run, say, ms } from "./lib.js";

export default run(
  one("first", exec((s) => { GlobalStore.put("k", "v"); return s.set("r", `${GlobalStore.get("k")} ${GlobalStore.getOrDefault("none", "d")} ${GlobalStore.containsKey("k")}`); }), say("#{r}")),
  one("second", pause(ms(600)), exec((s) => { const was = GlobalStore.get("k"); GlobalStore.update("k", (v) => v + "2"); const now = GlobalStore.get("k"); GlobalStore.remove("k"); return s.set("r", `${was} ${now} ${GlobalStore.containsKey("k")}`); }), say("#{r}")),
);
