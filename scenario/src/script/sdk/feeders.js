// Feeders. The builder object is the identity: two scenarios that feed from one object share it.

import {
  Immutable, fail, isFunction, native, plain, register, show, unsupported,
} from "onrush:base";

let table = [];

/** Starts the table of a graph: feeders get their index in the order their steps are written. */
export const feederTable = () => {
  table = [];
  return {
    toJSON: () => table.map((feeder) => feeder.spec),
  };
};

export class FeederBuilder extends Immutable {
  static label = "a feeder";
  static refused = ["recordsCount", "headers", "readRecords"];
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  queue() {
    return this.change({ strategy: "queue" });
  }
  random() {
    return this.change({ strategy: "random" });
  }
  shuffle() {
    return this.change({ strategy: "shuffle" });
  }
  circular() {
    return this.change({ strategy: "circular" });
  }
  transform(f) {
    if (!isFunction(f)) fail(`transform takes a function (name, value) => ..., found ${show(f)}`);
    return this.change({ transform: register(f) });
  }
  /** A cluster always divides a feeder's records among its shards. */
  shard() {
    return this.change({});
  }
  toJSON() {
    if (!table.includes(this)) table.push(this);
    return table.indexOf(this);
  }
}

class FileBasedFeederBuilder extends FeederBuilder {
  unzip() {
    return this.change({ unzip: true });
  }
}

const made = (Kind, source) =>
  Object.assign(new Kind(), { spec: { source, strategy: "queue", unzip: false } });

const located = (path, what) => {
  if (typeof path !== "string" || path === "") fail(`${what} takes a path, found ${show(path)}`);
  const problem = native.resourceProblem(path);
  if (problem != null) fail(`Could not locate feeder file: ${problem}`, "file_missing");
  return path;
};

const character = (value, what) =>
  typeof value === "string" && [...value].length === 1
    ? value
    : fail(`${what} must be one character, found ${show(value)}`);

const separated = (label, separator) => (path, quote = '"') =>
  made(FileBasedFeederBuilder, {
    separated: {
      path: located(path, label),
      separator: character(separator, `the separator of ${label}`),
      quote: character(quote, `the quote of ${label}`),
    },
  });

export const csv = separated("csv", ",");
export const tsv = separated("tsv", "\t");
export const ssv = separated("ssv", ";");
export const separatedValues = (path, separator, quote) =>
  separated("separatedValues", separator)(path, quote);

export const jsonFile = (path) =>
  made(FileBasedFeederBuilder, { json: { path: located(path, "jsonFile") } });

export const jsonUrl = unsupported("jsonUrl");

export const arrayFeeder = (records) => {
  const isRecord = (record) => typeof record === "object" && record !== null && !Array.isArray(record);
  if (!Array.isArray(records) || !records.every(isRecord)) {
    fail(`arrayFeeder takes an array of objects, found ${show(records)}`);
  }
  return made(FeederBuilder, { records: plain(records, "a record of arrayFeeder") });
};
