// Reads dashboards from stdin and writes every query of theirs as Grafana would send it: of each panel as often as it is
// shown, of each variable, of each annotation, and every link. Sends nothing. grafana.py says what goes in and comes out.
import { readFileSync } from 'node:fs';
import { from as observe, map } from 'rxjs';
import headless from './headless.cjs';
import { service, templates, times } from './datasources.mjs';
import { panelsOf, sceneOf } from './scene.mjs';

const { data, runtime, scenes } = headless;
const request = JSON.parse(readFileSync(0, 'utf8'));
// Grafana asks for no more points than a panel has pixels; a variable's and an annotation's query has no panel.
const PIXELS = request.maxDataPoints;
const ANNOTATION_POINTS = 100;

const sources = service(request.datasources);
runtime.setDataSourceSrv(sources);
runtime.setTemplateSrv(templates);
runtime.setRunRequest((_, query, run) => observe(run(query)).pipe(map((done) => ({ series: done.data, state: 'Done' }))));

const scoped = (part) => ({ __sceneObject: { value: { valueOf: () => part } } });

function filtersOf(variables, uid) {
  const kinds = variables.filter((variable) => variable instanceof scenes.AdHocFiltersVariable);
  const meant = kinds.filter(({ state }) => !state.datasource?.uid || state.datasource.uid === uid);
  return meant.flatMap(({ state }) => state.filters);
}

/** Names of the variables that something uses, also by way of other variables. */
function used(text, variables, names = new Set()) {
  for (const variable of variables) {
    const { name } = variable.state;
    if (names.has(name) || !new RegExp(`\\$(${name}\\b|\\{${name}[:.}])|\\[\\[${name}[:\\]]`).test(text)) continue;
    names.add(name);
    used(JSON.stringify([variable.state.query ?? '', variable.state.regex ?? '']), variables, names);
  }
  return names;
}

function complete(target, part, { variables, missing }, { datasource, maxDataPoints, minInterval, repeat = {} }) {
  const ref = target.datasource ?? datasource;
  const vars = scoped(part);
  const source = sources.now(ref, vars);
  const range = scenes.sceneGraph.getTimeRange(part).state.value;
  const least = minInterval ? templates.replace(minInterval, vars) : source.interval;
  const asked = times(range, maxDataPoints, least);
  const own = {
    __interval: { text: asked.interval, value: asked.interval },
    __interval_ms: { text: String(asked.intervalMs), value: asked.intervalMs },
  };
  const needs = used(JSON.stringify([target, ref]), variables);
  return source.complete(target, { ...vars, ...own }, filtersOf(variables, source.uid), asked).map((done) => ({
    datasource: { uid: source.uid, type: source.type },
    from: asked.from,
    to: asked.to,
    ...done,
    hidden: Boolean(target.hide),
    missing: missing.filter((name) => needs.has(name) && !(name in repeat)),
  }));
}

function panelQueries(state, { panel, part, repeat }) {
  const options = {
    datasource: panel.datasource,
    maxDataPoints: panel.maxDataPoints ?? PIXELS,
    minInterval: panel.interval,
    repeat,
  };
  const title = templates.replace(panel.title ?? '', scoped(part));
  return (panel.targets ?? []).flatMap((target) =>
    complete(target, part, state, options).map((query) => ({ of: 'panel', id: panel.id, name: title, repeat, ...query })),
  );
}

function variableQueries({ scene, variables, requests, missing }) {
  const kinds = variables.filter((variable) => variable instanceof scenes.QueryVariable);
  return kinds.map((variable) => {
    const { name, query, datasource } = variable.state;
    const range = scenes.sceneGraph.getTimeRange(scene).state.value;
    const source = sources.now(datasource, scoped(variable));
    const needs = used(JSON.stringify([query, variable.state.regex]), variables);
    return {
      of: 'variable',
      name,
      refId: name,
      kind: 'variable',
      datasource: { uid: source.uid, type: source.type },
      query: source.text(query, scoped(variable), range),
      requests: requests.get(variable),
      from: range.from.valueOf(),
      to: range.to.valueOf(),
      missing: missing.filter((other) => other !== name && needs.has(other)),
    };
  });
}

function annotationQueries(model, state) {
  const known = (model.annotations?.list ?? []).filter((annotation) => annotation.enable !== false && !annotation.builtIn);
  return known.flatMap((annotation) => {
    const target = { refId: 'Anno', expr: annotation.expr, interval: annotation.step, ...annotation.target };
    // An older Loki annotation says what it is beside its expression.
    if (target.instant === undefined && annotation.instant !== undefined) target.instant = annotation.instant;
    const options = { datasource: annotation.datasource, maxDataPoints: ANNOTATION_POINTS };
    const found = complete(target, state.scene, state, options);
    return found.map((query) => ({ of: 'annotation', name: annotation.name, ...query }));
  });
}

function links(model, scene, shown) {
  const text = (part, written) => templates.replace(written ?? '', scoped(part));
  const interpolated = (of, name, part, list) =>
    list.map(({ title, url }) => ({ of, name, title: text(part, title), url: text(part, url) }));
  const ofPanel = ({ panel, part }) => {
    const overrides = (panel.fieldConfig?.overrides ?? []).flatMap(({ properties }) => properties);
    const ofFields = overrides.filter(({ id }) => id === 'links').flatMap(({ value }) => value);
    return interpolated('panel', panel.title ?? '', part, [
      ...(panel.links ?? []),
      ...(panel.fieldConfig?.defaults?.links ?? []),
      ...ofFields,
    ]);
  };
  return [...interpolated('dashboard', model.title ?? '', scene, model.links ?? []), ...shown.flatMap(ofPanel)];
}

async function done({ path, dashboard, variables, answers }) {
  try {
    const state = await sceneOf(dashboard, { from: request.from, to: request.to, values: variables, answers });
    const shown = panelsOf(state.scene, dashboard);
    const queries = [
      ...variableQueries(state),
      ...annotationQueries(dashboard, state),
      ...shown.flatMap((one) => panelQueries(state, one)),
    ];
    const known = state.variables.map((variable) => [variable.state.name, variable.getValue?.() ?? null]);
    return {
      path,
      uid: dashboard.uid ?? '',
      queries,
      links: links(dashboard, state.scene, shown),
      // A value of its own for all, and filters, are objects that write themselves.
      variables: Object.fromEntries(known.map(([name, value]) => [name, value?.formatter?.('text') ?? value])),
    };
  } catch (error) {
    throw new Error(`${path}: ${error.message}`, { cause: error });
  }
}

const all = [];
// One after the other: a page has one dashboard.
for (const dashboard of request.dashboards) all.push(await done(dashboard));

// Grafana's loaders leave timers behind, so that the process would wait for them.
process.stdout.write(JSON.stringify(all), () => process.exit());
