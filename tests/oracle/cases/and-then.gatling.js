// andThen: children start at the next tick after all users of the parent have ended.
// @times 300
import { scenario, pause, atOnceUsers, rampUsers, nothingFor } from "@gatling.io/core";
import { ms, run, say } from "./lib.js";

const s = (name, wait) => scenario(name).exec(say(name), pause(ms(wait)));
export default run(
  s("parent", 700).injectOpen(rampUsers(2).during(1)).andThen(
    s("child", 200).injectOpen(atOnceUsers(1)).andThen(s("grandchild", 0).injectOpen(nothingFor(1), atOnceUsers(1))),
    s("sibling", 1200).injectOpen(atOnceUsers(1)),
  ).andThen(s("last", 0).injectOpen(atOnceUsers(1))),
);
