// A feeder that cannot serve ends the run, with its name: `jsonFile("rows.json")`.
import { csv, arrayFeeder, jsonFile, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("a", repeat(3).on(feed(jsonFile("rows.json")), say("#{k.exists()} #{id.exists()}"))));
