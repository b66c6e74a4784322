// recordsCount reads the file when it is asked.
import { arrayFeeder, csv, exec, feed, jsonFile, repeat } from "@gatling.io/core";
import { one, run, say } from "./lib.js";

export default run(one("count", say(`${csv("users.csv").recordsCount()} ${csv("mixed.csv").recordsCount()} ${jsonFile("rows.json").recordsCount()} ${arrayFeeder([{ a: 1 }]).recordsCount()}`)));
