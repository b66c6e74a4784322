// A text that does not parse: refused before anything starts.
// @differs * | refused when loaded | values that Gatling finds wrong
import { one, run, say } from "./lib.js";

export default run(one("a", say("x #{randomDouble(1,2)} y")));
