// Grafana's own packages, loaded in Node without a browser and without what only draws: no test, and no rule of our own.
//
// The packages import their whole user interface. package.json replaces that half by an empty package, and here each
// of its names becomes a stand-in that may be imported and extended but not called: what is called while the packages
// load (a style sheet, a context) is harmless, and what is called later would be a wrong answer, so that it throws.
'use strict';
const Module = require('node:module');
const { overrides } = require('./package.json');

let loading = true;

function standIn(name) {
  return new Proxy(function () {}, {
    get(target, key) {
      if (key === 'prototype') return target.prototype;
      if (key === '__esModule') return true;
      // A promise or an iterator it is not.
      if (typeof key === 'symbol' || key === 'then') return undefined;
      return (target[key] ??= standIn(`${name}.${key}`));
    },
    set: () => true,
    apply() {
      if (!loading) throw new Error(`${name} is not loaded here, and Grafana's code called it`);
      return standIn(`${name}()`);
    },
    construct() {
      if (!loading) throw new Error(`${name} is not loaded here, and Grafana's code called it`);
      return standIn(`new ${name}()`);
    },
  });
}

function packageOf(request) {
  return request.split('/').slice(0, request.startsWith('@') ? 2 : 1).join('/');
}

const substitutes = {
  // Nothing is translated.
  '@grafana/i18n': { t: (_, text) => text },
  // @grafana/scenes asks this package of Grafana's, which is not published, for the data sources.
  '@grafana/plugin-compat/datasources': {
    getDataSourceInstance: async (ref, scopedVars) => require('@grafana/runtime').getDataSourceSrv().get(ref, scopedVars),
    getDataSourceInstanceList: async (filters) => require('@grafana/runtime').getDataSourceSrv().getList(filters),
    getDefaultDataSourceInstanceListItem: async (list) => list.find((source) => source.isDefault),
  },
  // The one function of 30 MB that an interval needs, and Grafana has another package that can do it.
  'date-fns/add': { add: (date, duration) => require('moment')(date).add(duration).toDate() },
};

const load = Module._load;
Module._load = function (request, ...rest) {
  if (!(packageOf(request) in overrides)) return load.call(this, request, ...rest);
  const names = { ...substitutes[request] };
  return new Proxy(names, {
    // The packages' own interop takes a module with a default export as it is.
    has: () => true,
    get(_, key) {
      if (key === '__esModule') return true;
      return typeof key === 'symbol' ? undefined : (names[key] ??= standIn(`${request}.${key}`));
    },
  });
};

const nothing = () => undefined;
const storage = { getItem: () => null, setItem: nothing, removeItem: nothing };
const browser = {
  window: globalThis,
  addEventListener: nothing,
  document: standIn('document'),
  history: { state: null, replaceState: nothing, pushState: nothing },
  location: new URL('http://localhost:3000/d/dashboard'),
  localStorage: storage,
  sessionStorage: storage,
  IntersectionObserver: class {},
  // What Grafana's page says of its server: every setting is the default one.
  grafanaBootData: { settings: { featureToggles: {} }, user: { timezone: 'utc' } },
};
for (const [name, value] of Object.entries(browser)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
// What is written to stdout is the answer.
console.log = console.error;

if (!globalThis.navigator) globalThis.navigator = { userAgent: 'node' };

module.exports = {
  data: require('@grafana/data'),
  runtime: require('@grafana/runtime'),
  get scenes() {
    return late('@grafana/scenes');
  },
  get prometheus() {
    return late('@grafana/prometheus');
  },
};
loading = false;

// The transformations need neither of these two, and they take the most time to load.
function late(name) {
  loading = true;
  try {
    return require(name);
  } finally {
    loading = false;
  }
}
