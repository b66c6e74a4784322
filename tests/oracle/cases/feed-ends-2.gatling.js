// A feeder that cannot serve ends the run, with its name: `arrayFeeder([{k: 1}])`.
import { csv, arrayFeeder, jsonFile, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", repeat(3).on(feed(arrayFeeder([{k: 1}])), say("#{k.exists()} #{id.exists()}"))));
