// A file of column names alone: the run goes on until a user asks for a record.
import { csv, feed } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const none = csv("header.csv").circular();

export default run(
  one("asks", say("before"), feed(none), say("after")),
);
