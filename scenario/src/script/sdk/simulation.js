// Scenarios, populations, setUp, and the graph they become.

import {
  Builder, Immutable, fail, isFunction, micros, name, native, register, seconds, show,
} from "onrush:base";
import { feederTable } from "onrush:feeders";
import { assertionSpecs, closedSteps, openSteps, throttleSteps } from "onrush:profiles";
import { Structure, pauseKind } from "onrush:structure";

export class ScenarioBuilder extends Structure {
  static label = "a scenario";
  injectOpen(...steps) {
    return population(this, { open: openSteps(steps, "injectOpen(...)") });
  }
  injectClosed(...steps) {
    return population(this, { closed: closedSteps(steps, "injectClosed(...)") });
  }
}

export const scenario = (title) => {
  if (typeof title !== "string") fail(`scenario takes a name, found ${show(title)}`);
  if (title === "") fail("Scenario name cannot be empty");
  if (title.includes("\t")) fail("Scenario name cannot contain a tab");
  return Object.assign(new ScenarioBuilder(), { title, made: [] });
};

/** What protocols(...) takes: its package gives `protocol`, the name, and `spec()`. */
export class ProtocolBuilder extends Immutable {
  static label = "a protocol";
}
const specOf = Symbol("protocol");
/** For `http`, a function that is a protocol too. */
export const asProtocol = (f, builder) => {
  f[specOf] = builder;
  return f;
};
const protocolSpecs = (protocols) =>
  protocols.flat().map((given) => {
    const builder = isFunction(given) ? given[specOf] : given;
    if (!(builder instanceof ProtocolBuilder)) fail(`protocols(...) takes protocols, found ${show(given)}`);
    return { protocol: builder.protocol, spec: builder.spec };
  });

/** The methods that setUp and populations share; `apply(changes)` returns what to chain on. */
const pauses = (apply) => {
  const kind = (type) => apply({ pauses: pauseKind(type) });
  return {
    disablePauses: () => kind("Disabled"),
    constantPauses: () => kind("Constant"),
    exponentialPauses: () => kind("Exponential"),
    customPauses: (f) => kind({ type: "Custom", f }),
    // The typings call a number a percentage, the engine they wrap reads seconds: so do we.
    uniformPauses: (plusOrMinus) => kind({ type: "UniformDuration", plusOrMinus }),
    normalPausesWithStdDevDuration: (stdDev) => kind({ type: "NormalWithStdDevDuration", stdDev }),
    normalPausesWithPercentageDuration: (stdDev) => kind({ type: "NormalWithPercentageDuration", stdDev }),
    pauses: (type) => kind(type),
  };
};

class PopulationBuilder extends Immutable {
  static label = "a population";
  change(changes) {
    return this.with({ spec: { ...this.spec, ...changes } });
  }
  protocols(...protocols) {
    return this.change({ protocols: protocolSpecs(protocols) });
  }
  throttle(...steps) {
    return this.change({ throttle: throttleSteps(steps, "throttle(...)") });
  }
  andThen(...children) {
    // A later call waits for all that the earlier ones brought.
    const earlier = this.spec.children;
    const stage = earlier.length === 0 ? undefined : (earlier.at(-1).stage ?? 0) + 1;
    const later = populationSpecs(children, "andThen").map((spec) => ({ ...spec, stage }));
    return this.change({ children: [...earlier, ...later] });
  }
  noShard() {
    return this.change({ no_shard: true });
  }
}
for (const method of Object.keys(pauses())) {
  PopulationBuilder.prototype[method] = function (...args) {
    return pauses((changes) => this.change(changes))[method](...args);
  };
}

const population = (builder, inject) =>
  Object.assign(new PopulationBuilder(), {
    spec: {
      scenario: { name: builder.title, steps: builder.made },
      inject,
      children: [],
      no_shard: false,
    },
  });

const populationSpecs = (populations, where) =>
  populations.flat().map((given) => {
    if (given instanceof PopulationBuilder) return given.spec;
    if (given instanceof ScenarioBuilder) {
      fail(`${where}(...): scenario "${given.title}" has no injection profile; ` +
        "call injectOpen(...) or injectClosed(...)");
    }
    return fail(`${where}(...) takes populations (a scenario with its injection profile), found ${show(given)}`);
  });

/** Gatling's own checks, made here so that the error points at setUp. */
const validate = (populations) => {
  if (populations.length === 0) fail("No scenario configured, make sure to call setUp.");
  const names = [];
  const visit = ({ scenario: { name: title, steps }, children }) => {
    if (steps.length === 0) fail(`Scenario ${title} is empty`);
    names.push(title);
    children.forEach(visit);
  };
  populations.forEach(visit);
  const twice = [...new Set(names.filter((title, index) => names.indexOf(title) !== index))];
  if (twice.length > 0) {
    fail(`Scenario names must be unique but found duplicates: List(${twice.join(", ")})`);
  }
};

class SetUp extends Builder {
  static label = "setUp(...)";
  constructor(spec) {
    super();
    this.spec = spec;
    Object.assign(this, pauses((changes) => this.change(changes)));
  }
  change(changes) {
    Object.assign(this.spec, changes);
    return this;
  }
  protocols(...protocols) {
    return this.change({ protocols: protocolSpecs(protocols) });
  }
  assertions(...assertions) {
    return this.change({ assertions: assertionSpecs(assertions.flat()) });
  }
  maxDuration(duration) {
    return this.change({ max_duration_us: micros(duration, "maxDuration") });
  }
  throttle(...steps) {
    return this.change({ throttle: throttleSteps(steps, "throttle(...)") });
  }
}

class Simulation extends Builder {
  static label = "a simulation";
}

export const simulation = (define) => {
  if (!isFunction(define)) fail(`simulation takes a function (setUp) => { ... }, found ${show(define)}`);
  return Object.assign(new Simulation(), { define });
};

const expected = "expected: export default simulation((setUp) => { ... })";

/** `load/shop.gatling.ts` is `shop`. */
const stem = (entry) =>
  entry.split("/").pop().replace(/\.(m?[jt]s|json)$/, "").replace(/\.gatling$/, "");

/** Called by the host with the entry's exports: the graph as JSON. */
native.build = (exports, entry) => {
  if (!("default" in exports)) {
    const found = Object.keys(exports).join(", ") || "no exports";
    fail(`${entry} has no default export (found: ${found}); ${expected}`);
  }
  if (!(exports.default instanceof Simulation)) {
    fail(`the default export of ${entry} is ${show(exports.default)}, not a simulation; ${expected}`);
  }
  const feeders = feederTable();
  let graph;
  const setUp = (...populations) => {
    if (graph !== undefined) fail("Can only call setUp once");
    const specs = populationSpecs(populations, "setUp");
    validate(specs);
    graph = {
      version: 1,
      name: stem(entry),
      populations: specs,
      protocols: [],
      assertions: [],
      feeders,
    };
    return new SetUp(graph);
  };
  const result = exports.default.define(setUp);
  if (result instanceof Promise) {
    result.catch(() => {});
    fail("simulation(...) takes a plain function, not an async one");
  }
  if (graph === undefined) fail("No scenario configured, make sure to call setUp.");
  // Feeders are numbered while the populations are written, so they come after them.
  const { feeders: last, ...first } = graph;
  return JSON.stringify({ ...first, feeders: last, functions: native.functions.length });
};
