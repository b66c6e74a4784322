// "util": formatting, comparing, inheriting.

const types = {
  isDate: (value) => value instanceof Date,
  isRegExp: (value) => value instanceof RegExp,
  isMap: (value) => value instanceof Map,
  isSet: (value) => value instanceof Set,
  isPromise: (value) => value instanceof Promise,
  isNativeError: (value) => value instanceof Error,
  isTypedArray: (value) => ArrayBuffer.isView(value) && !(value instanceof DataView),
  isUint8Array: (value) => value instanceof Uint8Array,
  isArrayBuffer: (value) => value instanceof ArrayBuffer,
};

const quoted = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n")}'`;
const key = (name) =>
  typeof name === "symbol" ? `[${String(name)}]` : /^[A-Za-z_$][\w$]*$/.test(name) ? name : quoted(name);

/** One line, as Node shows small values. */
const inspect = (value, options = {}) => {
  const deepest = options.depth === null ? Infinity : options.depth ?? 2;
  const show = (given, depth, above) => {
    if (typeof given === "string") return quoted(given);
    if (typeof given === "bigint") return `${given}n`;
    if (typeof given === "function") return given.name ? `[Function: ${given.name}]` : "[Function (anonymous)]";
    if (Object.is(given, -0)) return "-0";
    if (typeof given !== "object" || given === null) return String(given);
    if (given instanceof Error) return given.stack ? `${given.name}: ${given.message}` : String(given);
    if (given instanceof Date) return given.toISOString();
    if (given instanceof RegExp) return String(given);
    if (typeof given[inspect.custom] === "function") return String(given[inspect.custom](deepest - depth, options));
    if (above.includes(given)) return "[Circular *1]";
    const within = (item) => show(item, depth + 1, [...above, given]);
    const list = Array.isArray(given) || types.isTypedArray(given);
    const name = given.constructor?.name ?? "[Object: null prototype]";
    if (depth > deepest) return list ? "[Array]" : `[${name}]`;
    if (list) {
      const items = Array.from(given, within);
      const prefix = Array.isArray(given) ? "" : `${name}(${given.length}) `;
      return prefix + (items.length === 0 ? "[]" : `[ ${items.join(", ")} ]`);
    }
    const fields = given instanceof Map
      ? [...given].map(([k, v]) => `${within(k)} => ${within(v)}`)
      : given instanceof Set
        ? [...given].map(within)
        : Object.keys(given).map((k) => `${key(k)}: ${within(given[k])}`);
    const sized = types.isMap(given) || types.isSet(given);
    const prefix = sized ? `${name}(${given.size}) ` : name === "Object" ? "" : `${name} `;
    return prefix + (fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`);
  };
  return show(value, 0, []);
};
inspect.custom = Symbol.for("nodejs.util.inspect.custom");

const format = (first, ...rest) => {
  if (typeof first !== "string") return [first, ...rest].map((it) => (typeof it === "string" ? it : inspect(it))).join(" ");
  let next = 0;
  const filled = first.replace(/%[sdifjoOc%]/g, (mark) => {
    if (mark === "%%") return "%";
    if (next >= rest.length) return mark;
    const value = rest[next];
    next += 1;
    if (mark === "%s") return typeof value === "object" && value !== null ? inspect(value, { depth: 0 }) : String(value);
    if (mark === "%d") return String(Number(value));
    if (mark === "%i") return String(Number.parseInt(value, 10));
    if (mark === "%f") return String(Number.parseFloat(value));
    if (mark === "%j") return JSON.stringify(value);
    return mark === "%c" ? "" : inspect(value);
  });
  return [filled, ...rest.slice(next).map((it) => (typeof it === "string" ? it : inspect(it)))].join(" ");
};

const isDeepStrictEqual = (a, b, seen = []) => {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.some(([x, y]) => x === a && y === b)) return true;
  const deeper = [...seen, [a, b]];
  const same = (x, y) => isDeepStrictEqual(x, y, deeper);
  if (a instanceof Date) return a.getTime() === b.getTime();
  if (a instanceof RegExp) return String(a) === String(b);
  if (a instanceof Error && (a.message !== b.message || a.name !== b.name)) return false;
  if (a instanceof Map) return a.size === b.size && [...a].every(([k, v]) => b.has(k) && same(v, b.get(k)));
  if (a instanceof Set) return a.size === b.size && [...a].every((v) => b.has(v) || [...b].some((w) => same(v, w)));
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return left.length === right.length && left.every((k) => Object.hasOwn(b, k) && same(a[k], b[k]));
};

const inherits = (child, parent) => {
  child.super_ = parent;
  Object.setPrototypeOf(child.prototype, parent.prototype);
};
const deprecate = (f) => f;
const promisify = (f) => (...args) =>
  new Promise((resolve, reject) => f(...args, (error, value) => (error ? reject(error) : resolve(value))));
const callbackify = (f) => (...args) => {
  const done = args.pop();
  f(...args).then((value) => done(null, value), (error) => done(error));
};

module.exports = {
  callbackify, deprecate, format, inherits, inspect, isDeepStrictEqual, promisify, types,
  isArray: Array.isArray, debuglog: () => () => {},
};
