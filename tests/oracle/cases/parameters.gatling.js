// getParameter, getEnvironmentVariable, readResource: what is there and what is not.
import { getEnvironmentVariable, getOption, getParameter, readResourceAsBytes, readResourceAsString } from "@gatling.io/core";
import { one, run, say, target } from "./lib.js";

const none = getParameter("nothing-there");
export default run(
  one("parameters", say(`${getParameter("target") === target} ${none == null} ${getParameter("nothing", "d")} ${getOption("nothing", "o")} ${getEnvironmentVariable("ORACLE_NOTHING", "e")} ${getEnvironmentVariable("ORACLE_NOTHING") == null} ${readResourceAsString("raw.txt").length} ${readResourceAsBytes("raw.txt").length}`)),
);
