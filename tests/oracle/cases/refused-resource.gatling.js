// A resource that is not there.
// @differs message | in our own words, with the place | values that Gatling finds wrong
import { readResourceAsString } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", say(readResourceAsString("none.txt"))));
