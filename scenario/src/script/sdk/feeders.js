// Feeders. The builder object is the identity: two scenarios that feed from one object share it.

import {
  Immutable, fail, isFunction, name, native, plain, register, show,
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
  /** The number of records of the source, which is read for it now. */
  recordsCount() {
    return native.recordsCount(JSON.stringify(this.spec));
  }
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

class SeparatedValuesFeederBuilder extends FileBasedFeederBuilder {
  headers(...names) {
    if (names.length === 0) fail("headers(...) takes the names of the columns");
    const headers = names.map((column) => name(column, "a column of headers(...)"));
    return this.change({ source: { separated: { ...this.spec.source.separated, headers } } });
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
  made(SeparatedValuesFeederBuilder, {
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

/** Of `@gatling.io/http`: a record for each `<url>`. */
export const sitemap = (path) =>
  made(FileBasedFeederBuilder, { sitemap: { path: located(path, "sitemap") } });

export const jsonUrl = (url) => {
  if (typeof url !== "string" || !/^https?:\/\//.test(url)) {
    fail(`jsonUrl takes an http or https url, found ${show(url)}`);
  }
  return made(FeederBuilder, { json_url: { url } });
};

class IteratorFeederBuilder extends FeederBuilder {
  static label = "a feeder of an iterator";
}
for (const method of ["recordsCount", "random", "shuffle", "circular"]) {
  IteratorFeederBuilder.prototype[method] = () =>
    fail(`${method}() needs all records at hand: an iterator gives them one by one`);
}

/**
 * Records that the script makes one by one. Every engine thread has an iterator of its own; record n
 * goes to one of them only, and the others pass over it: together they hand out what one would.
 */
const iterated = (source) => {
  let records;
  let at = 0;
  const next = (wanted) => {
    records ??= isFunction(source) ? source() : source;
    if (!isFunction(records?.next)) records = records?.[Symbol.iterator]?.();
    if (!isFunction(records?.next)) fail(`a feeder's function must give an iterator, found ${show(records)}`);
    for (;;) {
      const { done, value } = records.next();
      at += 1;
      if (done) return null;
      if (at > wanted) return value;
    }
  };
  return made(IteratorFeederBuilder, { script: { function: register(next, isFunction(source) ? source : next) } });
};

const iterators = new WeakMap();

/** What `feed(...)` takes: a feeder, or a generator function, an iterator or an iterable. */
export const feederOf = (given) => {
  if (given instanceof FeederBuilder) return given;
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
  const iterable = isObject && (isFunction(given.next) || isFunction(given[Symbol.iterator]));
  if (!iterable && !(isFunction(given) && given.label === undefined)) {
    fail(`feed takes a feeder, a generator function or an iterator, found ${show(given)}`);
  }
  // One object is one feeder, however often it is fed from.
  if (!iterators.has(given)) iterators.set(given, iterated(given));
  return iterators.get(given);
};

export const arrayFeeder = (records) => {
  const isRecord = (record) => typeof record === "object" && record !== null && !Array.isArray(record);
  if (!Array.isArray(records) || !records.every(isRecord)) {
    fail(`arrayFeeder takes an array of objects, found ${show(records)}`);
  }
  return made(FeederBuilder, { records: plain(records, "a record of arrayFeeder") });
};
