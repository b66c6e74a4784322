// `AllowList(...)` and `DenyList(...)`: which inferred resources are fetched. Patterns match whole URLs.

import { Builder, fail, name, native, show } from "onrush:base";

class Filter extends Builder {
  static label = "an AllowList or a DenyList";
}

export const filter = (type, patterns) => {
  for (const pattern of patterns) {
    const problem = native.regexProblem(name(pattern, "a pattern of AllowList or DenyList"));
    if (problem != null) fail(problem);
  }
  return Object.assign(new Filter(), { type, patterns });
};

/** `{allow: [...], deny: [...]}` of what `inferHtmlResources(...)` takes. */
export const filterSpecs = (filters, where) => {
  const specs = {};
  for (const given of filters) {
    if (!(given instanceof Filter)) fail(`${where} takes an AllowList or a DenyList, found ${show(given)}`);
    specs[given.type] = given.patterns;
  }
  return specs;
};
