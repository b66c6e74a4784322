// "assert": the strict and the loose comparisons.

const { inspect, isDeepStrictEqual } = require("util");

class AssertionError extends Error {
  constructor({ message, actual, expected, operator }) {
    super(message ?? `${inspect(actual)} ${operator} ${inspect(expected)}`);
    Object.assign(this, { name: "AssertionError", code: "ERR_ASSERTION", actual, expected, operator });
    this.generatedMessage = message === undefined;
  }
}

const hold = (holds, message, actual, expected, operator) => {
  if (holds) return;
  if (message instanceof Error) throw message;
  throw new AssertionError({ message, actual, expected, operator });
};
const loosely = (a, b) => {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return a == b || (Number.isNaN(a) && Number.isNaN(b));
  }
  const [left, right] = [Object.keys(a), Object.keys(b)];
  if (a instanceof Date || a instanceof Map || a instanceof Set) return isDeepStrictEqual(a, b);
  return left.length === right.length && left.every((key) => Object.hasOwn(b, key) && loosely(a[key], b[key]));
};
const fits = (error, expected) => {
  if (expected === undefined) return true;
  if (expected instanceof RegExp) return expected.test(String(error));
  if (typeof expected === "function") {
    if (expected.prototype !== undefined && error instanceof expected) return true;
    return Error.isPrototypeOf(expected) ? false : expected.call({}, error) === true;
  }
  return Object.entries(expected).every(([key, value]) =>
    value instanceof RegExp && typeof error[key] === "string" ? value.test(error[key]) : isDeepStrictEqual(error[key], value));
};
const split = (expected, message) => (typeof expected === "string" ? [undefined, expected] : [expected, message]);

const ok = (value, message) => hold(value, message, value, true, "==");
const assert = (value, message) => ok(value, message);
const comparisons = {
  equal: (a, b, message) => hold(a == b || (Number.isNaN(a) && Number.isNaN(b)), message, a, b, "=="),
  notEqual: (a, b, message) => hold(a != b, message, a, b, "!="),
  strictEqual: (a, b, message) => hold(Object.is(a, b), message, a, b, "==="),
  notStrictEqual: (a, b, message) => hold(!Object.is(a, b), message, a, b, "!=="),
  deepEqual: (a, b, message) => hold(loosely(a, b), message, a, b, "deepEqual"),
  notDeepEqual: (a, b, message) => hold(!loosely(a, b), message, a, b, "notDeepEqual"),
  deepStrictEqual: (a, b, message) => hold(isDeepStrictEqual(a, b), message, a, b, "deepStrictEqual"),
  notDeepStrictEqual: (a, b, message) => hold(!isDeepStrictEqual(a, b), message, a, b, "notDeepStrictEqual"),
};
const others = {
  AssertionError,
  ok,
  fail: (message = "Failed") => hold(false, message, undefined, undefined, "fail"),
  match: (text, pattern, message) => hold(pattern.test(text), message, text, pattern, "match"),
  doesNotMatch: (text, pattern, message) => hold(!pattern.test(text), message, text, pattern, "doesNotMatch"),
  ifError: (value) => {
    if (value !== null && value !== undefined) throw value;
  },
  throws(f, expected, message) {
    const [wanted, told] = split(expected, message);
    let thrown;
    try {
      f();
    } catch (error) {
      thrown = { error };
    }
    hold(thrown !== undefined, told ?? "Missing expected exception.", undefined, wanted, "throws");
    if (!fits(thrown.error, wanted)) throw thrown.error;
  },
  doesNotThrow(f, expected, message) {
    try {
      f();
    } catch (error) {
      const told = split(expected, message)[1];
      hold(false, told ?? `Got unwanted exception. ${error?.message ?? error}`, error, undefined, "doesNotThrow");
    }
  },
};
const { equal, notEqual, deepEqual, notDeepEqual, ...strictly } = comparisons;

module.exports = Object.assign(assert, comparisons, others);
assert.strict = Object.assign((value, message) => ok(value, message), strictly, others, {
  equal: comparisons.strictEqual, notEqual: comparisons.notStrictEqual,
  deepEqual: comparisons.deepStrictEqual, notDeepEqual: comparisons.notDeepStrictEqual,
});
assert.strict.strict = assert.strict;
