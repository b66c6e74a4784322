// "@gatling.io/core": the names of the package, and nothing else.

import { fail, isFunction, name, native, show } from "onrush:base";
import "onrush:commonjs";
import "onrush:decorators";
import { filter } from "onrush:filters";

export { isDuration } from "onrush:base";
export {
  ChainBuilder, asLongAs, asLongAsDuring, counter, crashLoadGenerator, crashLoadGeneratorIf, doIf,
  doIfEquals, doIfEqualsOrElse, doIfOrElse, doSwitch, doSwitchOrElse, doWhile, doWhileDuring, dummy,
  during, exec, exitBlockOnFail, exitHere, exitHereIf, exitHereIfFailed, feed, foreach, forever,
  group, onCase, pace, pause, percent, randomSwitch, randomSwitchOrElse, rendezVous, repeat,
  roundRobinSwitch, setInSession, sharedQueue, stopLoadGenerator, stopLoadGeneratorIf, tryMax,
  uniformRandomSwitch,
} from "onrush:structure";
export {
  bodyBytes, bodyLength, bodyString, css, form, jmesPath, jsonPath, jsonpJmesPath, jsonpJsonPath,
  md5, regex, responseTimeInMillis, sha1, substring, xpath,
} from "onrush:checks";
export {
  ByteArrayBody, ElFileBody, PebbleFileBody, PebbleStringBody, RawFileBody, StringBody, gzipBody,
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
export * from "onrush:jvm";

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
export const AllowList = (...patterns) => filter("allow", patterns);
export const DenyList = (...patterns) => filter("deny", patterns);

const storeKey = (key) => name(key, "a key of GlobalStore");
const put = (key, value) => {
  if (value === undefined || value === null) fail(`GlobalStore.put takes a value, found ${show(value)}`);
  return native.storePut(storeKey(key), value);
};
/** Shared by all users of one shard process: in a cluster, one per node. */
export const GlobalStore = {
  put,
  get: (key) => native.storeGet(storeKey(key)),
  getOrDefault: (key, otherwise) => native.storeGet(storeKey(key)) ?? otherwise,
  containsKey: (key) => native.storeGet(storeKey(key)) !== undefined,
  remove: (key) => native.storePut(storeKey(key), null),
  update: (key, f) => {
    if (!isFunction(f)) fail(`GlobalStore.update takes a function, found ${show(f)}`);
    return native.storeUpdate(storeKey(key), f);
  },
  clear: () => native.storeClear(),
};
