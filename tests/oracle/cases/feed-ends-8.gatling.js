// A feeder that cannot serve ends the run, with its name: `csv("two.csv").transform(() => { throw new Error("boom"); })`.
// @differs * | at the record that it fails for, as the run gets there | a transform of a feeder that throws
import { csv, arrayFeeder, jsonFile, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", repeat(3).on(feed(csv("two.csv").transform(() => { throw new Error("boom"); })), say("#{k.exists()} #{id.exists()}"))));
