// A text that does not parse: refused before anything starts.
// @differs message | in our own words, with the place | values that Gatling finds wrong
import { one, run, say } from "./lib.js";

export default run(one("a", say("x #{a.nope()} y")));
