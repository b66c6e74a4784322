// A feeder that cannot be read: refused before anything starts.
// @differs message | in our own words, with the place | values that Gatling finds wrong
import { csv, arrayFeeder, jsonFile, separatedValues, feed } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", feed(jsonFile("mixed.csv")), say("x")));
