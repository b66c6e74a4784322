// A text that does not parse: refused before anything starts.
import { one, run, say } from "./lib.js";

export default run(one("a", say("x #{} y")));
