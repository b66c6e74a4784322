// Scenarios' steps: each is a top-level function and a method of every chain.

import {
  Builder, Executable, any, condition, count, duration, fail, fn, isDuration, isFunction,
  javaDouble, list, literal, micros, name, number, rate, register, seconds, show, text,
} from "onrush:base";
import { feederOf } from "onrush:feeders";

/** The steps of what `exec`, `on`, `then` and `orElse` take. */
const stepsOf = (executables, where) => {
  if (executables.length === 0) fail(`${where} needs at least one action, chain or function`);
  return executables.flatMap((executable) => {
    if (executable instanceof Executable) return executable.steps();
    if (isFunction(executable) && executable.label === undefined) {
      return [{ step: "hook", function: register(executable) }];
    }
    return fail(`${where} takes actions, chains or session functions, found ${show(executable)}`);
  });
};

/** Waits for the one method that completes it: `repeat(3)` for `.on(...)`. */
const awaiting = (label, methods) => {
  class Pending extends Builder {
    static label = `${label} without .${Object.keys(methods)[0]}(...)`;
  }
  return Object.assign(Object.create(Pending.prototype), methods);
};

const body = (label, emit, make) =>
  awaiting(label, { on: (...chain) => emit([make(stepsOf(chain, `${label}.on(...)`))]) });

const optionalName = (value, what) => (value === undefined ? undefined : name(value, what));

// ---- pauses ------------------------------------------------------------------------------------

const pauseNames = { Disabled: "disabled", Constant: "constant", Exponential: "exponential" };

const isPauseType = (value) =>
  (typeof value === "string" && Object.hasOwn(pauseNames, value)) ||
  (typeof value === "object" && value !== null && typeof value.type === "string");

export const pauseKind = (value) => {
  if (!isPauseType(value)) fail(`unknown pause type ${show(value)}`);
  if (typeof value === "string") return { type: pauseNames[value] };
  switch (value.type) {
    case "NormalWithPercentageDuration":
      return { type: "normal_with_percentage", std_dev: rate(value.stdDev, "stdDev") };
    case "NormalWithStdDevDuration":
      return { type: "normal_with_std_dev", std_dev_us: micros(value.stdDev, "stdDev") };
    case "Custom":
      if (!isFunction(value.f)) fail(`a Custom pause takes a function f, found ${show(value.f)}`);
      return { type: "custom", function: register(value.f) };
    case "UniformPercentage":
      return { type: "uniform_percentage", plus_or_minus: rate(value.plusOrMinus, "plusOrMinus") };
    case "UniformDuration":
      return { type: "uniform_duration", plus_or_minus_us: micros(value.plusOrMinus, "plusOrMinus") };
    default:
      return fail(`unknown pause type ${show(value.type)}`);
  }
};

const pause = (emit, min, ...rest) => {
  const step = { step: "pause", duration: duration(min, "the duration of pause") };
  const next = [...rest];
  if (next.length > 0 && !isPauseType(next[0])) {
    step.max = duration(next.shift(), "the maximum of pause");
  }
  if (next.length > 0) step.kind = pauseKind(next[0]);
  return emit([step]);
};

const pace = (emit, min, ...rest) => {
  const step = { step: "pace", duration: duration(min, "the duration of pace") };
  const next = [...rest];
  // Two strings are a duration and a counter, as on Gatling; a range of strings needs the counter.
  if (next.length === 2 || (next.length === 1 && typeof next[0] !== "string")) {
    step.max = duration(next.shift(), "the maximum of pace");
  }
  step.counter = optionalName(next[0], "the counter of pace");
  return emit([step]);
};

// ---- loops -------------------------------------------------------------------------------------

/** `[counterName] [, exitASAP]` */
const loopOptions = (label, args, exitAsap) => {
  const next = [...args];
  const options = { counter: undefined, exit_asap: exitAsap };
  if (typeof next[0] === "string") options.counter = name(next.shift(), `the counter of ${label}`);
  if (next.length > 0 && next[0] !== undefined) {
    if (typeof next[0] !== "boolean") {
      fail(`${label}: expected a counter name or exitASAP, found ${show(next[0])}`);
    }
    options.exit_asap = next[0];
  }
  return options;
};

/** A family of loops: what ends it, and whether that is asked before the first pass. */
const loop = (label, { asks, lasts, first, exitAsap = false }) => (emit, ...args) => {
  const rest = [...args];
  const step = { step: "loop", name: label };
  if (asks) step.condition = condition(rest.shift(), `the condition of ${label}`);
  if (lasts) step.duration = duration(rest.shift(), `the duration of ${label}`);
  Object.assign(step, loopOptions(label, rest, exitAsap), { check_first: first });
  return body(label, emit, (steps) => ({ ...step, body: steps }));
};

const repeat = (emit, times, counter) => {
  const step = { step: "repeat", times: number(times, "the times of repeat") };
  step.counter = optionalName(counter, "the counter of repeat");
  return body("repeat", emit, (steps) => ({ ...step, body: steps }));
};

const foreach = (emit, seq, attribute, counter) => {
  const step = { step: "foreach", seq: list(seq, "the sequence of foreach") };
  step.attribute = name(attribute, "the attribute of foreach");
  step.counter = optionalName(counter, "the counter of foreach");
  return body("foreach", emit, (steps) => ({ ...step, body: steps }));
};

// ---- conditions --------------------------------------------------------------------------------

const branch = (label, orElse, emit, make) =>
  awaiting(label, {
    then: (...chain) => {
      const then = stepsOf(chain, `${label}.then(...)`);
      if (!orElse) return emit([make(then, [])]);
      return awaiting(`${label}.then(...)`, {
        orElse: (...other) => emit([make(then, stepsOf(other, `${label}.orElse(...)`))]),
      });
    },
  });

const doIf = (label, orElse) => (emit, when) => {
  const step = { step: "do_if", condition: condition(when, `the condition of ${label}`) };
  return branch(label, orElse, emit, (then, or_else) => ({ ...step, then, or_else }));
};

const doIfEquals = (label, orElse) => (emit, actual, expected) => {
  const step = { step: "do_if_equals", actual: any(actual, `the actual value of ${label}`) };
  step.expected = any(expected, `the expected value of ${label}`);
  return branch(label, orElse, emit, (then, or_else) => ({ ...step, then, or_else }));
};

class KeyCase extends Builder {
  static label = "onCase(...)";
}
class WeightCase extends Builder {
  static label = "percent(...)";
}
const made = (Case, fields) => Object.assign(new Case(), fields);

// A text is what it reads as: no expression.
export const onCase = (key) => {
  const expr = literal(key, "the key of onCase");
  return awaiting("onCase", {
    then: (...chain) => made(KeyCase, { key: expr, then: stepsOf(chain, "onCase.then(...)") }),
  });
};

export const percent = (share) => {
  const value = rate(share, "percent(...)");
  return awaiting("percent", {
    then: (...chain) => made(WeightCase, { percent: value, then: stepsOf(chain, "percent.then(...)") }),
  });
};

const checkCases = (label, Case, cases, least) => {
  for (const item of cases) {
    if (!(item instanceof Case)) fail(`${label}.on(...) takes ${Case.label}.then(...), found ${show(item)}`);
  }
  if (cases.length < least) fail(`${label}() requires at least ${least} possibilities`);
};

const cases = (label, orElse, emit, make) =>
  awaiting(label, {
    on: (...given) => {
      const step = make(given);
      if (!orElse) return emit([{ ...step, or_else: [] }]);
      return awaiting(`${label}.on(...)`, {
        orElse: (...other) => emit([{ ...step, or_else: stepsOf(other, `${label}.orElse(...)`) }]),
      });
    },
  });

const doSwitch = (label, orElse) => (emit, actual) => {
  const value = any(actual, `the value of ${label}`);
  return cases(label, orElse, emit, (given) => {
    checkCases(label, KeyCase, given, 2);
    return { step: "do_switch", value, cases: given.map(({ key, then }) => ({ key, then })) };
  });
};

// What rounding may add to a sum of percentages.
const WEIGHT_TOLERANCE = 1e-6;

const randomSwitch = (label, orElse) => (emit) =>
  cases(label, orElse, emit, (given) => {
    checkCases(label, WeightCase, given, 1);
    const sum = given.reduce((total, item) => total + item.percent, 0);
    if (sum > 100 + WEIGHT_TOLERANCE) {
      fail(`Weights sum ${javaDouble(sum)} mustn't be bigger than 100%`);
    }
    const weighted = given.map((item) => ({ percent: item.percent, then: item.then }));
    return { step: "random_switch", cases: weighted };
  });

const evenSwitch = (label, step) => (emit) =>
  awaiting(label, {
    on: (...chains) => {
      const title = label === "roundRobinSwitch" ? "Round robin switch" : `${label}()`;
      if (chains.length < 2) fail(`${title} requires at least 2 possibilities`);
      return emit([{ step, cases: chains.map((chain) => stepsOf([chain], `${label}.on(...)`)) }]);
    },
  });

// ---- the rest ----------------------------------------------------------------------------------

const feed = (emit, feeder, records) => {
  const step = { step: "feed", feeder: feederOf(feeder) };
  if (records !== undefined) step.count = number(records, "the number of records of feed");
  return emit([step]);
};

const generator = (step, label, asks) => (emit, message, when) => {
  const made = { step, message: text(message, `the message of ${label}`) };
  if (asks) made.condition = condition(when, `the condition of ${label}`);
  return emit([made]);
};

const tryMax = (emit, times, counter) => {
  const step = { step: "try_max", times: number(times, "the times of tryMax") };
  step.counter = optionalName(counter, "the counter of tryMax");
  return body("tryMax", emit, (steps) => ({ ...step, body: steps }));
};

const operations = {
  exec: (emit, ...executables) => emit(stepsOf(executables, "exec(...)")),
  pause,
  pace,
  rendezVous: (emit, users) =>
    emit([{ step: "rendez_vous", users: count(users, "rendezVous", 1) }]),
  feed,
  group: (emit, title) => {
    const expr = text(title, "the name of group");
    return body("group", emit, (steps) => ({ step: "group", name: expr, body: steps }));
  },
  repeat,
  foreach,
  during: loop("during", { lasts: true, first: true, exitAsap: true }),
  forever: loop("forever", { first: true }),
  asLongAs: loop("asLongAs", { asks: true, first: true }),
  doWhile: loop("doWhile", { asks: true, first: false }),
  asLongAsDuring: loop("asLongAsDuring", { asks: true, lasts: true, first: true }),
  doWhileDuring: loop("doWhileDuring", { asks: true, lasts: true, first: false }),
  doIf: doIf("doIf", false),
  doIfOrElse: doIf("doIfOrElse", true),
  doIfEquals: doIfEquals("doIfEquals", false),
  doIfEqualsOrElse: doIfEquals("doIfEqualsOrElse", true),
  doSwitch: doSwitch("doSwitch", false),
  doSwitchOrElse: doSwitch("doSwitchOrElse", true),
  randomSwitch: randomSwitch("randomSwitch", false),
  randomSwitchOrElse: randomSwitch("randomSwitchOrElse", true),
  uniformRandomSwitch: evenSwitch("uniformRandomSwitch", "uniform_random_switch"),
  roundRobinSwitch: evenSwitch("roundRobinSwitch", "round_robin_switch"),
  exitBlockOnFail: (emit) =>
    body("exitBlockOnFail", emit, (steps) => ({ step: "try_max", times: { lit: 1 }, body: steps })),
  tryMax,
  exitHereIfFailed: (emit) => emit([{ step: "exit_here_if_failed" }]),
  exitHere: (emit) => emit([{ step: "exit_here" }]),
  exitHereIf: (emit, when) =>
    emit([{ step: "exit_here_if", condition: condition(when, "the condition of exitHereIf") }]),
  stopLoadGenerator: generator("stop_load_generator", "stopLoadGenerator", false),
  stopLoadGeneratorIf: generator("stop_load_generator", "stopLoadGeneratorIf", true),
  crashLoadGenerator: generator("crash_load_generator", "crashLoadGenerator", false),
  crashLoadGeneratorIf: generator("crash_load_generator", "crashLoadGeneratorIf", true),
  setInSession: (emit, value, attribute) => {
    const made = { step: "set_in_session", value: any(value, "the value of setInSession") };
    return emit([{ ...made, attribute: name(attribute, "the attribute of setInSession") }]);
  },
};

/** What chains and scenarios share: `made` holds the steps so far. */
export class Structure extends Executable {
  steps() {
    return this.made;
  }
}
for (const [operation, build] of Object.entries(operations)) {
  Structure.prototype[operation] = {
    [operation](...args) {
      return build((steps) => this.with({ made: [...this.made, ...steps] }), ...args);
    },
  }[operation];
}

export class ChainBuilder extends Structure {
  static label = "a chain";
  constructor(made) {
    super();
    this.made = made;
  }
}

const start = (operation) => (...args) =>
  operations[operation]((steps) => new ChainBuilder(steps), ...args);

export const [
  exec, group, feed_, pause_, pace_, rendezVous, repeat_, foreach_, during, forever, asLongAs, doWhile,
  asLongAsDuring, doWhileDuring, doIf_, doIfOrElse, doIfEquals_, doIfEqualsOrElse, doSwitch_,
  doSwitchOrElse, randomSwitch_, randomSwitchOrElse, uniformRandomSwitch, roundRobinSwitch,
  exitBlockOnFail, tryMax_, exitHereIf, exitHere, exitHereIfFailed, stopLoadGenerator,
  stopLoadGeneratorIf, crashLoadGenerator, crashLoadGeneratorIf, setInSession,
] = [
  "exec", "group", "feed", "pause", "pace", "rendezVous", "repeat", "foreach", "during", "forever",
  "asLongAs", "doWhile", "asLongAsDuring", "doWhileDuring", "doIf", "doIfOrElse", "doIfEquals",
  "doIfEqualsOrElse", "doSwitch", "doSwitchOrElse", "randomSwitch", "randomSwitchOrElse",
  "uniformRandomSwitch", "roundRobinSwitch", "exitBlockOnFail", "tryMax", "exitHereIf", "exitHere",
  "exitHereIfFailed", "stopLoadGenerator", "stopLoadGeneratorIf", "crashLoadGenerator",
  "crashLoadGeneratorIf", "setInSession",
].map(start);
export {
  feed_ as feed, pause_ as pause, pace_ as pace, repeat_ as repeat, foreach_ as foreach,
  doIf_ as doIf, doIfEquals_ as doIfEquals, doSwitch_ as doSwitch, randomSwitch_ as randomSwitch,
  tryMax_ as tryMax,
};

// ---- actions -----------------------------------------------------------------------------------

/** A protocol's action: `exec` takes it. */
export class ActionBuilder extends Executable {
  static label = "an action";
}

class DummyBuilder extends ActionBuilder {
  static label = "a dummy";
  withSuccess(success) {
    return this.with({ step: { ...this.step, success: condition(success, "withSuccess") } });
  }
  withSessionUpdate(f) {
    if (!isFunction(f)) fail(`withSessionUpdate takes a function, found ${show(f)}`);
    return this.with({ step: { ...this.step, session_update: register(f) } });
  }
  steps() {
    return [this.step];
  }
}

export const dummy = (title, milliseconds) => {
  const step = { step: "dummy", name: text(title, "the name of dummy") };
  step.response_time_ms = number(milliseconds, "the response time of dummy");
  return Object.assign(new DummyBuilder(), { step });
};

/** Counters and queues by number: the builder object that `make` began with is the identity. */
const numbering = () => {
  let made = 0;
  return () => made++;
};
const nextCounter = numbering();
const nextQueue = numbering();

/** All users share one range; each of its own may work it out. */
const ofCounter = (step, value, what, min) =>
  step.per_user
    ? number(value, what)
    : { lit: count(value, `${what} (expressions need perUser())`, min) };

class CounterBuilder extends ActionBuilder {
  static label = "a counter";
  changed(changes) {
    // A counter with other settings is another counter.
    return this.with({ step: { ...this.step, counter: nextCounter(), ...changes } });
  }
  startingAt(start) {
    return this.changed({ start: ofCounter(this.step, start, "startingAt", 0) });
  }
  withIncrement(increment) {
    return this.changed({ increment: ofCounter(this.step, increment, "withIncrement", 1) });
  }
  upTo(end) {
    return this.changed({ up_to: ofCounter(this.step, end, "upTo", 1) });
  }
  wrapAround() {
    return this.changed({ wrap_around: true });
  }
  perUser() {
    return this.changed({ per_user: true });
  }
  /** A cluster always divides a counter's values among its shards. */
  shard() {
    return this;
  }
  steps() {
    return [this.step];
  }
}

export const counter = (key) => {
  const step = { step: "counter", counter: nextCounter(), key: name(key, "the key of counter") };
  return Object.assign(new CounterBuilder(), { step });
};

class QueueAction extends ActionBuilder {
  static label = "an action of a sharedQueue";
  steps() {
    return [this.step];
  }
}

class QueueTake extends QueueAction {
  timeout(timeout) {
    const take = { ...this.step.action.take, timeout_us: micros(timeout, "the timeout of take") };
    return this.with({ step: { ...this.step, action: { take } } });
  }
}

class SharedQueue extends Builder {
  static label = "a sharedQueue without .put(...), .take(...), .poll(...) or .size(...)";
  #step;
  constructor(title) {
    super();
    this.#step = { step: "shared_queue", queue: nextQueue(), name: title };
  }
  #action(action, Kind = QueueAction) {
    return Object.assign(new Kind(), { step: { ...this.#step, action } });
  }
  put(value) {
    return this.#action({ put: any(value, "the value of put") });
  }
  take(key) {
    return this.#action({ take: { key: name(key, "the key of take") } }, QueueTake);
  }
  poll(key) {
    return this.#action({ poll: { key: name(key, "the key of poll") } });
  }
  size(key) {
    return this.#action({ size: { key: name(key, "the key of size") } });
  }
}

export const sharedQueue = (title) => new SharedQueue(name(title, "the name of sharedQueue"));
