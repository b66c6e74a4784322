// A crash or a stop whose text does not resolve does not happen.
import { crashLoadGeneratorIf, exec, stopLoadGenerator } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("a", crashLoadGeneratorIf("because #{nope}", () => true), exec((s) => s.set("was", s.isFailed())), say("#{was}"), stopLoadGenerator("#{nope}"), say("on")),
);
