// The data sources as a panel uses them: a query goes in as the dashboard has it, and comes out as the server of that
// kind gets it. Prometheus' is Grafana's own code; Loki's and Jaeger's are not on npm, so that their rules are ours.
// Nothing is sent: what a variable's query asks for is recorded, and answered with what the request says of it.
import headless from './headless.cjs';
import * as intervals from './intervals.mjs';

const { prometheus, scenes } = headless;
const { rangeUtil } = headless.data;

/** Grafana's template service: the part of the scene that a query belongs to comes with it, or else the page's is meant. */
export const templates = {
  page: undefined,
  replace(text, scopedVars, format) {
    const { __sceneObject: part, ...rest } = scopedVars ?? {};
    const scene = part?.value.valueOf() ?? templates.page;
    return typeof text === 'string' ? scenes.sceneGraph.interpolate(scene, text, rest, format) : text;
  },
  containsTemplate: (text) => typeof text === 'string' && text.includes('$'),
  getVariables: () => [],
  getAdhocFilters: () => [],
};

/** What a variable's query asks its server for, and what the request says it was answered; filled by ask(). */
let asked;

/** Run something that asks a data source, and have what it asked for. */
export async function ask(answer, run) {
  asked = { answer, requests: [] };
  await run();
  return asked.requests;
}

async function answered(method, path, params, shape) {
  asked.requests.push({ method, path, params });
  return asked.answer === undefined ? shape : asked.answer;
}

class Prometheus extends prometheus.PrometheusDatasource {
  constructor(settings) {
    super(settings, templates);
    this.uid = settings.uid;
  }

  async getResource(path, params) {
    return { status: 'success', data: await answered('GET', path, params, this.nothing(path)) };
  }

  async postResource(path, params) {
    return { status: 'success', data: await answered('POST', path, params, this.nothing(path)) };
  }

  nothing(path) {
    return path.endsWith('/query') ? { resultType: 'vector', result: [] } : [];
  }

  text(query, scopedVars, range) {
    const all = { ...scopedVars, ...this.getIntervalVars(), ...this.getRangeScopedVars(range) };
    return { query: this.interpolateString(typeof query === 'string' ? query : query.query, all) };
  }

  complete(target, scopedVars, filters, times) {
    const query = this.applyTemplateVariables(target, scopedVars, filters);
    const { expr, step } = intervals.prometheus(query, { ...times, scrape: this.interval });
    const instant = Boolean(query.instant);
    const kinds = instant ? ['instant', ...(query.range ? ['range'] : [])] : ['range'];
    // A range is widened to whole steps, so that the same query has the same points a moment later.
    const whole = (time) => Math.floor(time / step) * step;
    return kinds.map((kind) => ({
      query: { ...query, expr },
      refId: kind === 'instant' && query.range ? query.refId + prometheus.InstantQueryRefIdIndex : query.refId,
      kind,
      format: query.format ?? 'time_series',
      step,
      ...(kind === 'range' ? { from: whole(times.from), to: whole(times.to) } : {}),
    }));
  }
}

// Loki's rule is Prometheus' with two differences: what is single is left as it is, and there are no parentheses.
function lokiValue(value, variable) {
  if (!variable.multi && !variable.includeAll) return value;
  const escaped = (text) => String(text).replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]+?.()|]/g, '\\\\$&');
  return [value].flat().map(escaped).join('|');
}

class Loki {
  constructor(settings) {
    Object.assign(this, { uid: settings.uid, type: 'loki', interval: undefined });
  }

  async metricFindQuery(query, { range, scopedVars }) {
    const { label, stream } = this.text(query, scopedVars);
    const times = { start: String(range.from.valueOf() * 1e6), end: String(range.to.valueOf() * 1e6) };
    const path = label ? `label/${label}/values` : 'labels';
    const values = await answered('GET', `loki/api/v1/${path}`, { ...(stream ? { query: stream } : {}), ...times }, []);
    return values.map((text) => ({ text }));
  }

  text(query, scopedVars) {
    const replaced = (text) => text && templates.replace(text, scopedVars, lokiValue);
    if (typeof query !== 'string') return { ...query, label: replaced(query.label), stream: replaced(query.stream) };
    const [, stream, label] = /^label_values\((?:(.+),\s*)?([a-zA-Z_]\w*)\)\s*$/.exec(query) ?? [];
    if (!label && query !== 'label_names()') throw new Error(`Loki has no variable query ${query}`);
    return { label, stream: replaced(stream) };
  }

  complete(target, scopedVars, filters, times) {
    if (filters?.length) throw new Error('ad hoc filters of Loki are not known here');
    const vars = { ...scopedVars, __interval: { value: '$__interval' }, __interval_ms: { value: '$__interval_ms' } };
    const query = {
      ...target,
      queryType: target.queryType ?? (target.instant ? 'instant' : 'range'),
      expr: templates.replace(target.expr, vars, lokiValue),
      step: templates.replace(target.step, vars),
      legendFormat: templates.replace(target.legendFormat, vars),
    };
    const { expr, step } = intervals.loki(query, times);
    return [{ query: { ...query, expr }, refId: query.refId, kind: query.queryType, format: null, step }];
  }
}

class Jaeger {
  constructor(settings) {
    Object.assign(this, { uid: settings.uid, type: 'jaeger', interval: undefined });
  }

  complete(target, scopedVars) {
    const query = { ...target };
    for (const name of ['query', 'service', 'operation', 'tags', 'minDuration', 'maxDuration']) {
      // Several values become {a,b}, Grafana's default, which Jaeger does not know: a test sees it as it is.
      if (name in query) query[name] = templates.replace(query[name], scopedVars);
    }
    query.query = query.query?.trim();
    return [{ query, refId: query.refId, kind: query.queryType || 'traceId', format: null, step: null }];
  }
}

/** Whatever has no query of its own to interpolate: an expression, another panel's data, Alertmanager. */
class Other {
  constructor(settings) {
    Object.assign(this, { uid: settings.uid, type: settings.type, interval: undefined });
  }

  complete(target) {
    return [{ query: target, refId: target.refId, kind: 'other', format: null, step: null }];
  }
}

const KINDS = { prometheus: Prometheus, loki: Loki, jaeger: Jaeger };
const BUILT_IN = [
  { uid: '__expr__', type: '__expr__', name: '__expr__' },
  { uid: '-- Dashboard --', type: 'dashboard', name: '-- Dashboard --' },
  { uid: '-- Grafana --', type: 'grafana', name: '-- Grafana --' },
];

/** Grafana's service of that name, for the data sources that the request says are provisioned. */
export function service(provisioned) {
  const settings = [...provisioned.map((source) => ({ jsonData: {}, access: 'proxy', url: '', ...source })), ...BUILT_IN];
  const made = new Map();
  const settingsOf = (ref, scopedVars) => {
    const uid = templates.replace(typeof ref === 'string' ? ref : ref?.uid, scopedVars);
    const named = settings.find((source) => source.uid === uid || source.name === uid);
    const typed = settings.filter((source) => source.type === ref?.type);
    const found = uid ? named : ref?.type ? typed[0] : settings.find((source) => source.isDefault);
    if (!found) throw new Error(`no data source is provisioned as ${JSON.stringify(uid || ref)}`);
    return found;
  };
  const get = (ref, scopedVars) => {
    const found = settingsOf(ref, scopedVars);
    if (!made.has(found.uid)) made.set(found.uid, new (KINDS[found.type] ?? Other)(found));
    return made.get(found.uid);
  };
  return {
    get: async (ref, scopedVars) => get(ref, scopedVars),
    getInstanceSettings: settingsOf,
    getList: ({ pluginId }) => settings.filter((source) => source.type === pluginId),
    now: get,
  };
}

/** The interval that Grafana's page asks its server for. */
export function times(range, maxDataPoints, minInterval) {
  const { intervalMs, interval } = rangeUtil.calculateInterval(range, maxDataPoints, minInterval);
  return { from: range.from.valueOf(), to: range.to.valueOf(), maxDataPoints, intervalMs, interval };
}
