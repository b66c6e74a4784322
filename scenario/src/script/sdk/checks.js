// Checks: extract, transform, validate, save. What one kind of check does not have, it refuses.

import {
  Builder, Immutable, condition, count, el, fail, flag, isFunction, literal, name, native, register, show,
  text,
} from "onrush:base";

/** After the validation: name and save. */
export class CheckBuilder extends Immutable {
  static label = "a check";
  change(changes, Kind = CheckBuilder) {
    return Object.assign(new Kind(), { spec: { ...this.spec, ...changes } });
  }
  saveAs(key) {
    return this.change({ save_as: name(key, "the key of saveAs") });
  }
  name(title) {
    return this.change({ name: name(title, "the name of a check") });
  }
  logActualValueInError(value) {
    return this.change({ log_actual: flag(value, "logActualValueInError") });
  }
}

/** A function as the argument of `label`. */
const callback = (f, label) =>
  isFunction(f) ? register(f) : fail(`${label} takes a function, found ${show(f)}`);

class Validate extends CheckBuilder {
  #transformed(transform) {
    return this.change({ transforms: [...this.spec.transforms, transform] }, Validate);
  }
  transform(f) {
    return this.#transformed({ function: callback(f, "transform") });
  }
  transformWithSession(f) {
    return this.#transformed({ with_session: callback(f, "transformWithSession") });
  }
  withDefault(value) {
    return this.#transformed({ default: literal(value, "the value of withDefault") });
  }
  withDefaultEL(value) {
    return this.#transformed({ default: el(value) });
  }
  #validated(validator) {
    return this.change({ validator });
  }
  validate(title, f) {
    const custom = { name: name(title, "the name of validate"), function: callback(f, "validate") };
    return this.#validated({ custom });
  }
  in(...given) {
    const [first] = given;
    if (isFunction(first) && given.length === 1) return this.#validated({ in_expr: literal(first) });
    const isList = Array.isArray(first) && first.length > 0 && given.length === 1;
    // Nothing at all is null to Gatling, and a list of nothing a value: no match either way.
    const values = isList ? first : given.length === 0 ? [null] : given;
    return this.#validated({ in: values.map((value) => literal(value, "a value of in(...)")) });
  }
  inEL(expected) {
    return this.#validated({ in_expr: el(expected) });
  }
  exists() {
    return this.#validated("exists");
  }
  notExists() {
    return this.#validated("not_exists");
  }
  optional() {
    return this.#validated("optional");
  }
  isNull() {
    return this.#validated("is_null");
  }
  notNull() {
    return this.#validated("not_null");
  }
  static {
    for (const compare of ["is", "not", "lt", "lte", "gt", "gte"]) {
      Validate.prototype[compare] = function (expected) {
        return this.change({ validator: { [compare]: literal(expected, `the value of ${compare}(...)`) } });
      };
      Validate.prototype[`${compare}EL`] = function (expected) {
        return this.change({ validator: { [compare]: el(expected) } });
      };
    }
  }
}

class Find extends Validate {
  find() {
    return this.change({ arity: { find: { index: 0 } } }, Validate);
  }
}

class MultipleFind extends Validate {
  find(occurrence = 0) {
    return this.change({ arity: { find: { index: count(occurrence, "find(...)") } } }, Validate);
  }
  findAll() {
    return this.change({ arity: "find_all" }, Validate);
  }
  findRandom(number, failIfLess = false) {
    const limit = number === undefined ? null : count(number, "findRandom(...)", 1);
    const arity = { find_random: { count: limit, fail_if_less: flag(failIfLess, "failIfLess") } };
    return this.change({ arity }, Validate);
  }
  count() {
    return this.change({ arity: "count" }, Validate);
  }
}

const withGroups = (check, groups) =>
  check.change({ extractor: { ...check.spec.extractor, groups } }, MultipleFind);

class CaptureGroup extends MultipleFind {
  captureGroups(number) {
    return withGroups(this, { count: count(number, "captureGroups(...)", 2) });
  }
  allCaptureGroups() {
    return withGroups(this, "all");
  }
}

const jsonTypes = ["String", "Boolean", "Int", "Long", "Double", "List", "Map", "Object"];
const typed = (Kind) => {
  const Typed = class extends Kind {};
  for (const type of jsonTypes) {
    Typed.prototype[`of${type}`] = function () {
      return this.change({ extractor: { ...this.spec.extractor, of: type.toLowerCase() } }, Kind);
    };
  }
  return Typed;
};
const JsonFind = typed(Find);
const JsonMultipleFind = typed(MultipleFind);

const make = (Kind, extractor) =>
  Object.assign(new Kind(), {
    spec: {
      extractor,
      arity: { find: { index: 0 } },
      transforms: [],
      validator: "exists",
      log_actual: true,
    },
  });

/** Of other protocols' packages. */
export const findCheck = (extractor) => make(Find, extractor);
export const multipleFindCheck = (extractor) => make(MultipleFind, extractor);
export const captureGroupCheck = (extractor) => make(CaptureGroup, extractor);

export const bodyString = () => make(Find, { kind: "body_string" });
export const bodyBytes = () => make(Find, { kind: "body_bytes" });
export const bodyLength = () => make(Find, { kind: "body_length" });
export const md5 = () => make(Find, { kind: "md5" });
export const sha1 = () => make(Find, { kind: "sha1" });
export const responseTimeInMillis = () => make(Find, { kind: "response_time" });
export const substring = (pattern) =>
  make(MultipleFind, { kind: "substring", pattern: text(pattern, "the pattern of substring") });
export const regex = (pattern) =>
  make(CaptureGroup, { kind: "regex", pattern: text(pattern, "the pattern of regex") });
export const jsonPath = (path) =>
  make(JsonMultipleFind, { kind: "json_path", path: text(path, "the path of jsonPath") });
export const jmesPath = (path) =>
  make(JsonFind, { kind: "jmes_path", path: text(path, "the path of jmesPath") });
export const css = (selector, attribute) =>
  make(MultipleFind, {
    kind: "css",
    selector: text(selector, "the selector of css"),
    attribute: attribute === undefined ? undefined : name(attribute, "the attribute of css"),
  });
export const jsonpJsonPath = (path) =>
  make(JsonMultipleFind, { kind: "jsonp_json_path", path: text(path, "the path of jsonpJsonPath") });
export const jsonpJmesPath = (path) =>
  make(JsonFind, { kind: "jsonp_jmes_path", path: text(path, "the path of jsonpJmesPath") });
export const form = (selector) =>
  make(MultipleFind, { kind: "form", selector: text(selector, "the selector of form") });
export const xpath = (path, namespaces = {}) => {
  if (typeof namespaces !== "object" || namespaces === null) {
    fail(`xpath takes an object of prefixes and namespaces, found ${show(namespaces)}`);
  }
  for (const [prefix, uri] of Object.entries(namespaces)) {
    name(uri, `the namespace of the prefix ${prefix}`);
  }
  return make(MultipleFind, { kind: "xpath", path: text(path, "the path of xpath"), namespaces });
};

/** The specs of what `check(...)` takes; patterns are compiled here, so that errors point here. */
export const checkSpecs = (checks, where) =>
  checks.map((check) => {
    if (!(check instanceof CheckBuilder)) fail(`${where} takes checks, found ${show(check)}`);
    const problem = native.checkProblem(JSON.stringify(check.spec));
    if (problem != null) fail(problem);
    return check.spec;
  });

class Condition extends Builder {
  static label = "checkIf(...) without .then(...)";
}

/** `checkIf(when).then(...checks)`, ending in `add(specs)`. */
export const conditional = (when, add) => {
  const expr = condition(when, "the condition of checkIf");
  const then = (...checks) =>
    add(checkSpecs(checks, "checkIf(...).then(...)").map((spec) => ({ ...spec, condition: expr })));
  return Object.assign(new Condition(), { then });
};
