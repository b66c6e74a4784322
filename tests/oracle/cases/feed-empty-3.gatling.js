// A file without records: the run goes on until a user asks for a record.
import { feed, jsonFile } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const none = jsonFile("no-record.json").shuffle();

export default run(
  one("asks", say("before"), feed(none), say("after")),
);
