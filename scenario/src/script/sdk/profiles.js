// Injection profiles, throttling and assertions.

import { Builder, count, fail, flag, micros, name, rate, show } from "onrush:base";

class OpenInjectionStep extends Builder {
  static label = "an open injection step";
}
class ClosedInjectionStep extends Builder {
  static label = "a closed injection step";
}
class ThrottleStep extends Builder {
  static label = "a throttle step";
}
class Assertion extends Builder {
  static label = "an assertion";
}
class Unfinished extends Builder {
  static label = "an unfinished step";
}

const made = (Kind, spec, methods = {}) => Object.assign(new Kind(), { spec, ...methods });
const next = (label, methods) => {
  class Step extends Unfinished {
    static label = `${label} without .${Object.keys(methods)[0]}(...)`;
  }
  return Object.assign(new Step(), methods);
};

/** The specs of the steps given to `where`. */
const specs = (Kind) => (steps, where) => {
  return steps.map((step) =>
    step instanceof Kind ? step.spec : fail(`${where} takes ${Kind.label.replace(/^an? /, "")}s, found ${show(step)}`));
};
export const openSteps = specs(OpenInjectionStep);
export const closedSteps = specs(ClosedInjectionStep);
export const throttleSteps = specs(ThrottleStep);
export const assertionSpecs = (assertions) =>
  assertions.map((item) =>
    item instanceof Assertion ? item.spec : fail(`assertions(...) takes assertions, found ${show(item)}`));

// ---- open model --------------------------------------------------------------------------------

const span = (value, label) => micros(value, `the duration of ${label}`);

/** A rate over no time at all would be lost users. */
const ratedSpan = (value, label, ...rates) => {
  const duration_us = span(value, label);
  if (duration_us === 0 && rates.some((users) => users > 0)) {
    const shown = rates.map((users) => (Number.isInteger(users) ? `${users}.0` : users)).join(", ");
    fail(`can't inject ${rates.length > 1 ? "non 0 rates" : "a non 0 rate"} (${shown}) for a 0 duration`);
  }
  return duration_us;
};

const randomizable = (spec) =>
  made(OpenInjectionStep, spec, {
    randomized: () => made(OpenInjectionStep, { ...spec, randomized: true }),
  });

export const atOnceUsers = (users) =>
  made(OpenInjectionStep, { profile: "at_once_users", users: count(users, "atOnceUsers") });

export const nothingFor = (duration) =>
  made(OpenInjectionStep, { profile: "nothing_for", duration_us: span(duration, "nothingFor") });

const usersDuring = (profile, label) => (users) => {
  const number = count(users, label);
  return next(label, {
    during: (duration) =>
      made(OpenInjectionStep, { profile, users: number, duration_us: span(duration, label) }),
  });
};
export const rampUsers = usersDuring("ramp_users", "rampUsers");
export const stressPeakUsers = usersDuring("stress_peak_users", "stressPeakUsers");

export const constantUsersPerSec = (users) => {
  const perSecond = rate(users, "constantUsersPerSec");
  return next("constantUsersPerSec", {
    during: (duration) =>
      randomizable({
        profile: "constant_users_per_sec",
        rate: perSecond,
        duration_us: ratedSpan(duration, "constantUsersPerSec", perSecond),
        randomized: false,
      }),
  });
};

export const rampUsersPerSec = (first) => {
  const from = rate(first, "rampUsersPerSec");
  return next("rampUsersPerSec", {
    to: (last) => {
      const to = rate(last, "rampUsersPerSec.to");
      return next("rampUsersPerSec.to", {
        during: (duration) =>
          randomizable({
            profile: "ramp_users_per_sec",
            from,
            to,
            duration_us: ratedSpan(duration, "rampUsersPerSec", from, to),
            randomized: false,
          }),
      });
    },
  });
};

/** Stairs of either model: `times(n).eachLevelLasting(d)` and then options in any order. */
const stairs = (Kind, profile, label, amount) => (increment) => {
  const step = amount(increment, label);
  const options = (spec) =>
    made(Kind, spec, {
      separatedByRampsLasting: (duration) =>
        options({ ...spec, ramp_us: span(duration, `${label}.separatedByRampsLasting`) }),
      startingFrom: (start) => options({ ...spec, start: amount(start, `${label}.startingFrom`) }),
    });
  return next(label, {
    times: (levels) => {
      const times = count(levels, `${label}.times`);
      return next(`${label}.times`, {
        eachLevelLasting: (duration) => {
          const level_us = span(duration, `${label}.eachLevelLasting`);
          return options({ profile, increment: step, times, level_us, ramp_us: 0, start: 0 });
        },
      });
    },
  });
};

export const incrementUsersPerSec = stairs(
  OpenInjectionStep, "increment_users_per_sec", "incrementUsersPerSec", rate);

// ---- closed model ------------------------------------------------------------------------------

export const constantConcurrentUsers = (users) => {
  const number = count(users, "constantConcurrentUsers");
  return next("constantConcurrentUsers", {
    during: (duration) =>
      made(ClosedInjectionStep, {
        profile: "constant_concurrent_users",
        users: number,
        duration_us: span(duration, "constantConcurrentUsers"),
      }),
  });
};

export const rampConcurrentUsers = (first) => {
  const from = count(first, "rampConcurrentUsers");
  return next("rampConcurrentUsers", {
    to: (last) => {
      const to = count(last, "rampConcurrentUsers.to");
      return next("rampConcurrentUsers.to", {
        during: (duration) =>
          made(ClosedInjectionStep, {
            profile: "ramp_concurrent_users",
            from,
            to,
            duration_us: span(duration, "rampConcurrentUsers"),
          }),
      });
    },
  });
};

export const incrementConcurrentUsers = stairs(
  ClosedInjectionStep, "increment_concurrent_users", "incrementConcurrentUsers", count);

// ---- throttling --------------------------------------------------------------------------------

export const reachRps = (target) => {
  const rps = count(target, "reachRps");
  const during = (duration) =>
    made(ThrottleStep, { throttle: "reach", rps, duration_us: span(duration, "reachRps") });
  return next("reachRps", { in: during, during });
};
export const holdFor = (duration) =>
  made(ThrottleStep, { throttle: "hold", duration_us: span(duration, "holdFor") });
export const jumpToRps = (target) =>
  made(ThrottleStep, { throttle: "jump", rps: count(target, "jumpToRps") });

// ---- assertions --------------------------------------------------------------------------------

const finite = (value, what) =>
  typeof value === "number" && Number.isFinite(value)
    ? value
    : fail(`${what} must be a finite number, found ${show(value)}`);

const targeted = (scope, target) => {
  const made_ = (condition) => made(Assertion, { scope, target, condition });
  const compare = (label) => (value) => made_({ [label]: finite(value, `${label}(...)`) });
  const between = (min, max, inclusive) =>
    made_({ between: { min, max, inclusive: flag(inclusive, "inclusive") } });
  return next("an assertion", {
    lt: compare("lt"),
    lte: compare("lte"),
    gt: compare("gt"),
    gte: compare("gte"),
    is: compare("is"),
    in: (...values) => made_({ in: values.flat().map((value) => finite(value, "in(...)")) }),
    between: (min, max, inclusive = true) =>
      between(finite(min, "between(...)"), finite(max, "between(...)"), inclusive),
    around: (value, margin, inclusive = true) => {
      const middle = finite(value, "around(...)");
      return between(middle - finite(margin, "around(...)"), middle + margin, inclusive);
    },
    deviatesAround: (value, share, inclusive = true) => {
      const middle = finite(value, "deviatesAround(...)");
      const margin = Math.floor(middle * finite(share, "deviatesAround(...)"));
      return between(middle - margin, middle + margin, inclusive);
    },
  });
};

const percentile = (value) =>
  value >= 0 && value <= 100
    ? { percentile_response_time: finite(value, "percentile(...)") }
    : fail(`percentile(...) must be from 0 to 100, found ${show(value)}`);

const scoped = (scope) => {
  const target = (spec) => () => targeted(scope, spec);
  const counted = (which) => () =>
    next(`${which}Requests()`, { count: target(`${which}_count`), percent: target(`${which}_percent`) });
  return next("an assertion", {
    responseTime: () =>
      next("responseTime()", {
        min: target("min_response_time"),
        max: target("max_response_time"),
        mean: target("mean_response_time"),
        stdDev: target("std_dev_response_time"),
        percentile1: target(percentile(50)),
        percentile2: target(percentile(75)),
        percentile3: target(percentile(95)),
        percentile4: target(percentile(99)),
        percentile: (value) => targeted(scope, percentile(value)),
      }),
    allRequests: counted("all"),
    failedRequests: counted("failed"),
    successfulRequests: counted("successful"),
    requestsPerSec: target("mean_requests_per_sec"),
  });
};

export const global = () => scoped("global");
export const forAll = () => scoped("for_all");
export const details = (...parts) =>
  scoped(parts.length === 0 ? "global" : { details: parts.map((part) => name(part, "a part of details")) });

