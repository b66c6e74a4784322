// "@gatling.io/core": the names of the package, and nothing else.

import { native, fail, show, unsupported, unsupportedTree } from "onrush:base";

export { isDuration } from "onrush:base";
export {
  ChainBuilder, asLongAs, asLongAsDuring, crashLoadGenerator, crashLoadGeneratorIf, doIf,
  doIfEquals, doIfEqualsOrElse, doIfOrElse, doSwitch, doSwitchOrElse, doWhile, doWhileDuring, dummy,
  during, exec, exitBlockOnFail, exitHere, exitHereIf, exitHereIfFailed, feed, foreach, forever,
  group, onCase, pace, pause, percent, randomSwitch, randomSwitchOrElse, rendezVous, repeat,
  roundRobinSwitch, setInSession, stopLoadGenerator, stopLoadGeneratorIf, tryMax,
  uniformRandomSwitch,
} from "onrush:structure";
export {
  bodyBytes, bodyLength, bodyString, css, form, jmesPath, jsonPath, jsonpJmesPath, jsonpJsonPath,
  md5, regex, responseTimeInMillis, sha1, substring, xpath,
} from "onrush:checks";
export {
  ByteArrayBody, ElFileBody, PebbleFileBody, PebbleStringBody, RawFileBody, StringBody,
} from "onrush:bodies";
export {
  arrayFeeder, csv, jsonFile, jsonUrl, separatedValues, ssv, tsv,
} from "onrush:feeders";
export {
  atOnceUsers, constantConcurrentUsers, constantUsersPerSec, details, forAll, global, holdFor,
  incrementConcurrentUsers, incrementUsersPerSec, jumpToRps, nothingFor, rampConcurrentUsers,
  rampUsers, rampUsersPerSec, reachRps, stressPeakUsers,
} from "onrush:profiles";
export { scenario, simulation } from "onrush:simulation";

const lookup = (label, find) => (key, otherwise) => {
  if (typeof key !== "string") fail(`${label} takes a name, found ${show(key)}`);
  return find(key) ?? otherwise;
};
/** `key=value` of the command line or the job. */
export const getParameter = lookup("getParameter", native.parameter);
export const getOption = getParameter;
export const getEnvironmentVariable = lookup("getEnvironmentVariable", native.environment);

const located = (path) => {
  const problem = native.resourceProblem(String(path));
  if (problem != null) fail(problem, "file_missing");
  return String(path);
};
export const readResourceAsString = (path, charset) => native.resourceText(located(path), charset);
export const readResourceAsBytes = (path) => native.resourceBytes(located(path));

export const isSessionTo = (value) => typeof value === "function";
// There is no JVM to convert for.
export const asJava = (value) => value;
export const asByteArray = (value) => value;
export const asByteArrayFunction = (f) => f;
export const asByteArrayMap = (map) => map;

/** `AllowList(...)`, `DenyList(...)`: patterns for inferred resources. */
export const AllowList = unsupported("AllowList");
export const DenyList = unsupported("DenyList");
export const GlobalStore = unsupportedTree("GlobalStore");
export const counter = unsupported("counter");
export const sharedQueue = unsupported("sharedQueue");
// The package's own glue to the JVM; nothing a simulation calls.
export const structureBuilderImpl = unsupported("structureBuilderImpl");
export const wrapActionBuilder = unsupported("wrapActionBuilder");
export const wrapSession = unsupported("wrapSession");
