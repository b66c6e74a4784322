// A feeder without records that nobody asks is none that matters.
import { csv, doIf, feed } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

const none = csv("header.csv");

export default run(one("asks not", doIf(() => false).then(feed(none)), say(`${none.recordsCount()} records`)));
