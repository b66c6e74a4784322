// What every part of the SDK stands on: errors that point into the simulation, the table of
// functions, expressions, durations, and the globals a script finds.

const native = globalThis.__onrush;

export class OnrushError extends Error {
  constructor(message, kind) {
    super(message);
    this.name = "OnrushError";
    if (kind !== undefined) this.kind = kind;
  }
}

export const fail = (message, kind) => {
  throw new OnrushError(message, kind);
};

export { native };

// ---- functions ---------------------------------------------------------------------------------

native.functions = [];
native.origins = [];
const known = new Map();

/** The index of a function in the table; `origin` is what the simulation wrote, if wrapped. */
export const register = (f, origin = f) => {
  if (known.has(f)) return known.get(f);
  const id = native.functions.length;
  native.functions.push(f);
  native.origins.push(origin);
  known.set(f, id);
  return id;
};

// ---- builders ----------------------------------------------------------------------------------

/** A value as it reads in an error text. */
export const show = (value) => {
  if (value === undefined) return "undefined";
  if (typeof value === "function") return value.label ?? "a function";
  if (value instanceof Builder) return value.constructor.label;
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return String(value);
  try {
    const text = JSON.stringify(value) ?? String(value);
    return text.length > 60 ? `${text.slice(0, 57)}...` : text;
  } catch {
    return typeof value;
  }
};

/** For what the packages export for their own sake. */
export const glue = (name) => {
  const reason = "is the packages' own glue to the JVM, which Onrush does not have";
  return { [name]: () => fail(`${name} ${reason}`) }[name];
};

// Asked for by the language itself, never by a simulation.
const quiet = new Set(["then", "toJSON", "onrushPlain", "label"]);

const strict = new Proxy(Object.prototype, {
  get(target, name, receiver) {
    if (typeof name === "symbol" || name in target || quiet.has(name)) {
      return Reflect.get(target, name, receiver);
    }
    return fail(`${receiver.constructor.label} has no method ${name}(...)`);
  },
});

/** The root of all builders: a method that does not exist is an error with its name. */
export class Builder {
  static label = "this builder";
}
Object.setPrototypeOf(Builder.prototype, strict);

/** A builder that is immutable: `with` gives a copy that differs. */
export class Immutable extends Builder {
  with(changes) {
    return Object.assign(Object.create(Object.getPrototypeOf(this)), this, changes);
  }
}

/** Something `exec` takes: has `steps()`. */
export class Executable extends Immutable {}

// ---- values ------------------------------------------------------------------------------------

/** Data as JSON has it; anything else is an error. */
export const plain = (value, what, depth = 0) => {
  if (depth > 128) fail(`${what} is nested too deeply or refers to itself`);
  switch (typeof value) {
    case "undefined":
      return null;
    case "bigint":
      if (Number.isSafeInteger(Number(value))) return Number(value);
      return fail(`${what} must be a number that JavaScript holds exactly, or text, found ${value}n`);
    case "number":
      return Number.isFinite(value) ? value : fail(`${what} must be a finite number, found ${value}`);
    case "string":
    case "boolean":
      return value;
    case "object":
      break;
    default:
      return fail(`${what} must be data, found ${show(value)}`);
  }
  if (value === null) return null;
  if (value instanceof Builder) return fail(`${what} must be data, found ${show(value)}`);
  if (Array.isArray(value)) return value.map((item) => plain(item, what, depth + 1));
  const own = value.onrushPlain ?? value.toJSON;
  if (typeof own === "function") return plain(own.call(value), what, depth + 1);
  const copy = {};
  for (const key of Object.keys(value)) copy[key] = plain(value[key], what, depth + 1);
  return copy;
};

const hidden = (target, methods) => {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(target, name, { value, writable: true, configurable: true });
  }
  return target;
};

// How the session keeps what JSON has no form for.
hidden(Map.prototype, { onrushPlain() { return Object.fromEntries(this); } });
hidden(Set.prototype, { onrushPlain() { return [...this]; } });
hidden(Object.getPrototypeOf(Uint8Array.prototype), { onrushPlain() { return Array.from(this); } });

// Whole numbers that a double cannot hold.
native.whole = BigInt;

// Lists and maps of a session answer the idioms of the JVM as well as JavaScript's, and read as the
// JVM's.
native.listPrototype = hidden(Object.create(Array.prototype), {
  get(index) {
    if (index < 0 || index >= this.length) {
      throw new RangeError(`Index ${index} out of bounds for length ${this.length}`);
    }
    return this[index];
  },
  size() { return this.length; },
  isEmpty() { return this.length === 0; },
  contains(item) { return this.includes(item); },
  getFirst() { return this.get(0); },
  getLast() { return this.get(this.length - 1); },
  toString() { return native.javaText(this); },
});
// Bytes are an array of the JVM, which reads as one of JavaScript.
native.bytesPrototype = hidden(Object.create(native.listPrototype), {
  toString() { return Array.prototype.toString.call(this); },
});
const own = (map, key) => (Object.hasOwn(map, key) ? map[key] : null);
native.mapPrototype = hidden(Object.create(Object.prototype), {
  get(key) { return own(this, key); },
  getOrDefault(key, otherwise) { return Object.hasOwn(this, key) ? this[key] : otherwise; },
  containsKey(key) { return Object.hasOwn(this, key); },
  has(key) { return Object.hasOwn(this, key); },
  size() { return Object.keys(this).length; },
  isEmpty() { return Object.keys(this).length === 0; },
  keySet() { return Object.setPrototypeOf(Object.keys(this), native.listPrototype); },
  values() { return Object.setPrototypeOf(Object.values(this), native.listPrototype); },
  toString() { return native.javaText(this); },
});

// ---- expressions -------------------------------------------------------------------------------

export const isFunction = (value) => typeof value === "function";

/** An expression-language string, checked now so that the error points here. */
export const el = (text) => {
  if (typeof text !== "string") fail(`expected an expression-language string, found ${show(text)}`);
  const problem = native.elProblem(text);
  if (problem != null) fail(problem);
  return { el: text };
};

const elOrLiteral = (text) => (text.includes("#{") ? el(text) : { lit: text });

/** `{fn}` of a function. */
export const fn = (f) => ({ fn: register(f) });

/** string | EL | function. */
export const text = (value, what) => {
  if (isFunction(value)) return fn(value);
  if (typeof value === "string") return elOrLiteral(value);
  return fail(`${what} must be a string or a function, found ${show(value)}`);
};

/** Any value; strings may be EL. */
export const any = (value, what) => {
  if (isFunction(value)) return fn(value);
  if (typeof value === "string") return elOrLiteral(value);
  if (value === undefined) return fail(`${what} is undefined`);
  return { lit: plain(value, what) };
};

/** A value as it stands (strings are not EL), or a function. */
export const literal = (value, what) => {
  if (isFunction(value)) return fn(value);
  if (value === undefined) return fail(`${what} is undefined`);
  return { lit: plain(value, what) };
};

/** boolean | EL | function. */
export const condition = (value, what) => {
  if (typeof value === "boolean") return { lit: value };
  if (isFunction(value) || typeof value === "string") return any(value, what);
  return fail(`${what} takes an expression-language string or a function, found ${show(value)}`);
};

/** number | EL | function. */
export const number = (value, what) => {
  if (typeof value === "number") return { lit: plain(value, what) };
  if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value))) {
    return { lit: Number(value) };
  }
  return text(value, what);
};

/** array | EL | function. */
export const list = (value, what) => {
  if (Array.isArray(value)) return { lit: plain(value, what) };
  if (isFunction(value) || typeof value === "string") return any(value, what);
  return fail(`${what} must be an array, an expression-language string or a function, found ${show(value)}`);
};

export const name = (value, what) => {
  if (typeof value === "string" && value !== "") return value;
  return fail(`${what} must be a text that is not empty, found ${show(value)}`);
};

export const flag = (value, what) =>
  typeof value === "boolean" ? value : fail(`${what} must be true or false, found ${show(value)}`);

/** A whole number from `min` on. */
export const count = (value, what, min = 0) => {
  if (Number.isSafeInteger(value) && value >= min) return value;
  return fail(`${what} must be a whole number of at least ${min}, found ${show(value)}`);
};

export const rate = (value, what) => {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  return fail(`${what} must be a finite number of at least 0, found ${show(value)}`);
};

// ---- durations ---------------------------------------------------------------------------------

const units = { milliseconds: 0.001, seconds: 1, minutes: 60, hours: 3600, days: 86400 };

export const isDuration = (value) =>
  typeof value === "number" ||
  (typeof value === "object" && value !== null && typeof value.amount === "number" &&
    Object.hasOwn(units, value.unit));

/** number of seconds | {amount, unit} → seconds. */
export const seconds = (value, what) => {
  if (!isDuration(value)) {
    fail(`${what} must be a number of seconds or {amount, unit} with unit one of ` +
      `${Object.keys(units).join(", ")}, found ${show(value)}`);
  }
  const amount = typeof value === "number" ? value : value.amount * units[value.unit];
  return Number.isFinite(amount) && amount >= 0
    ? amount
    : fail(`${what} must be a finite duration of at least 0, found ${show(value)}`);
};

/** Whole microseconds. */
export const micros = (value, what) => Math.round(seconds(value, what) * 1e6);

/** duration | EL | function, as an expression in seconds. */
export const duration = (value, what) => {
  if (isFunction(value)) {
    const inSeconds = (session) => {
      const given = value(session);
      return isDuration(given) && typeof given === "object" ? seconds(given, what) : given;
    };
    return { fn: register(inSeconds, value) };
  }
  if (typeof value === "string") return number(value, what);
  return { lit: seconds(value, what) };
};

/** A double as Java prints it. */
export const javaDouble = (value) => (Number.isInteger(value) ? `${value}.0` : String(value));

// ---- globals -----------------------------------------------------------------------------------

const inspect = (value, depth = 0) => {
  if (typeof value === "string") return depth === 0 ? value : JSON.stringify(value);
  if (typeof value === "function") return `[Function: ${value.name || "anonymous"}]`;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return value.name === "OnrushError" ? value.message : `${value.name}: ${value.message}`;
  if (value instanceof Date) return value.toISOString();
  if (depth > 4) return Array.isArray(value) ? "[...]" : "{...}";
  if (Array.isArray(value)) return `[${value.map((item) => inspect(item, depth + 1)).join(", ")}]`;
  if (value instanceof Map || value instanceof Set) return inspect(value.onrushPlain(), depth);
  const proto = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null && proto !== native.mapPrototype &&
      value.toString !== Object.prototype.toString) return String(value);
  const fields = Object.keys(value).map((key) => `${key}: ${inspect(value[key], depth + 1)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
};
const line = (values) => values.map((value) => inspect(value)).join(" ");
const out = (...values) => native.out(line(values));
const err = (...values) => native.err(line(values));
globalThis.console = { log: out, info: out, debug: out, warn: err, error: err, trace: err };

Math.random = native.random;

// While the script is loaded the clock stands still, so that all threads build the same graph.
const RealDate = globalThis.Date;
const frozen = native.frozenMillis();
native.thaw = () => {
  globalThis.Date = RealDate;
};
if (frozen != null) {
  const Frozen = function Date(...args) {
    if (new.target === undefined) return new RealDate(frozen).toString();
    const target = new.target === Frozen ? RealDate : new.target;
    return Reflect.construct(RealDate, args.length === 0 ? [frozen] : args, target);
  };
  Frozen.prototype = RealDate.prototype;
  Frozen.now = () => frozen;
  Frozen.parse = RealDate.parse;
  Frozen.UTC = RealDate.UTC;
  globalThis.Date = Frozen;
}

for (const [global, instead] of Object.entries({
  fetch: "requests are sent by the scenario's http actions",
  setTimeout: "use pause(...) in the scenario",
  setInterval: "use a loop with pause(...) in the scenario",
})) {
  globalThis[global] = () => fail(`${global}(...) is not available in Onrush: ${instead}`);
}

/** Of the JVM, simulations use the system's properties. */
globalThis.Java = {
  type(javaName) {
    if (javaName !== "java.lang.System") {
      fail(`Java.type(${show(javaName)}) is not available in Onrush: there is no JVM`);
    }
    return {
      getProperty: (key, otherwise = null) => native.parameter(key) ?? otherwise,
      getenv: (key) => native.environment(key) ?? null,
      currentTimeMillis: () => Date.now(),
    };
  },
};
