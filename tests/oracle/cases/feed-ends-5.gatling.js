// A feeder that cannot serve ends the run, with its name: `csv("two.csv").circular(), 3`.
import { csv, arrayFeeder, jsonFile, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", repeat(3).on(feed(csv("two.csv").circular(), 3), say("#{k.exists()} #{id.exists()}"))));
