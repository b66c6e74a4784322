// Zipped feeders, and their number of records.
import { csv, exec, feed, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(
  one("gzip", feed(csv("users.csv.gz").unzip()), say("#{user}")),
  one("zip", feed(csv("z.zip").unzip()), say("#{k}")),
);
