// A feeder that cannot be read: refused before anything starts.
import { csv, arrayFeeder, jsonFile, separatedValues, feed } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", feed(csv("none.csv")), say("x")));
