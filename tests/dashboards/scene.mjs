// A dashboard's JSON as the scene that Grafana makes of it, as far as its queries need: the time range, the variables
// with their values, and the panels with what is repeated. The objects are Grafana's; which of them is made of which
// JSON is written in its unpublished half, so that that part is ours. Nothing is drawn.
import headless from './headless.cjs';
import { ask, templates } from './datasources.mjs';

const { scenes } = headless;
const ALL = '$__all';

class Part extends scenes.SceneObjectBase {}

const text = (value) => (Array.isArray(value) ? value[0] : value) ?? '';

const VARIABLES = {
  query: (model, common) =>
    new scenes.QueryVariable({
      ...common,
      query: model.query,
      datasource: model.datasource ?? null,
      regex: model.regex ?? '',
      sort: model.sort ?? 0,
      refresh: model.refresh ?? 1,
    }),
  custom: (model, common) => new scenes.CustomVariable({ ...common, query: model.query ?? '' }),
  datasource: (model, common) =>
    new scenes.DataSourceVariable({ ...common, pluginId: model.query ?? '', regex: model.regex ?? '' }),
  textbox: (model, common) =>
    new scenes.TextBoxVariable({ name: common.name, value: text(model.current?.value) || (model.query ?? '') }),
  constant: (model, common) => new scenes.ConstantVariable({ name: common.name, value: model.query ?? '' }),
  interval: (model, common) =>
    new scenes.IntervalVariable({
      name: common.name,
      value: text(model.current?.value),
      intervals: (model.query ?? '').split(',').map((item) => item.trim()),
      autoEnabled: model.auto ?? false,
      autoStepCount: model.auto_count ?? 30,
      autoMinInterval: model.auto_min ?? '10s',
    }),
  adhoc: (model, common) =>
    new scenes.AdHocFiltersVariable({
      name: common.name,
      datasource: model.datasource ?? null,
      filters: model.filters ?? [],
      applyMode: 'auto',
    }),
};

function variableOf(model) {
  const make = VARIABLES[model.type];
  if (!make) throw new Error(`variable ${model.name} has the unknown type ${model.type}`);
  return make(model, {
    name: model.name,
    value: model.current?.value ?? '',
    text: model.current?.text ?? '',
    isMulti: model.multi ?? false,
    includeAll: model.includeAll ?? false,
    allValue: model.allValue || undefined,
    defaultToAll: Boolean(model.includeAll),
    allowCustomValue: true,
    // Grafana writes a variable into links unless this says no.
    skipUrlSync: model.skipUrlSync ?? false,
  });
}

function choose(variable, value) {
  const wanted = value === ALL && variable.state.isMulti ? [ALL] : variable.state.isMulti ? [value].flat() : value;
  const label = (one) => variable.state.options?.find((option) => option.value === one)?.label ?? (one === ALL ? 'All' : one);
  // As from the address of the page: it stays even where the server does not know it.
  variable.setState({ value: wanted, text: Array.isArray(wanted) ? wanted.map(label) : label(wanted) });
}

function first(waiting) {
  const names = waiting.map((variable) => variable.state.name);
  const free = waiting.find((variable) => {
    const needs = variable.variableDependency?.getNames() ?? new Set();
    return !names.some((name) => name !== variable.state.name && needs.has(name));
  });
  if (!free) throw new Error(`the variables ${names.join(', ')} need one another`);
  return free;
}

async function settle(variable, given, answer) {
  let requests = [];
  if (variable.validateAndUpdate) {
    let failure;
    const run = () =>
      new Promise((done) => {
        variable.validateAndUpdate().subscribe({ complete: done, error: (error) => done((failure = error)) });
      });
    requests = await ask(answer, run);
    if (failure) throw new Error(`variable ${variable.state.name}: ${failure.message ?? failure}`);
  }
  if (given !== undefined) choose(variable, given);
  return requests;
}

/** Whether a variable's value is what only a server's answer tells. */
function unknown(variable, given, answer) {
  if (!(variable instanceof scenes.QueryVariable) || answer !== undefined) return false;
  const all = variable.hasAllValue();
  return all ? !variable.state.allValue : given === undefined;
}

function valuesOf(variable) {
  if (variable.hasAllValue?.()) return variable.state.options;
  const [values, texts] = [[variable.getValue()].flat(), [variable.state.text].flat()];
  return values.map((value, index) => ({ value, label: texts[index] ?? value }));
}

/** A part for each value of the variable that it is repeated by, or one part where nothing is repeated. */
function repeated(parent, by) {
  const variable = by && scenes.sceneGraph.lookupVariable(by, parent);
  if (by && !variable) throw new Error(`something is repeated by ${by}, which is no variable`);
  if (!variable) return [{ part: new Part({ $variables: new scenes.SceneVariableSet({ variables: [] }) }), repeat: {} }];
  return valuesOf(variable).map(({ value, label }) => {
    const { isMulti, includeAll } = variable.state;
    const local = new scenes.LocalValueVariable({ name: by, value, text: label, isMulti, includeAll });
    return { part: new Part({ $variables: new scenes.SceneVariableSet({ variables: [local] }) }), repeat: { [by]: value } };
  });
}

function adopt(parent, part) {
  parent.setState({ parts: [...(parent.state.parts ?? []), part] });
  return part;
}

/** The rows of a dashboard with their panels; those of no row are in one of none. A folded row has its own panels. */
function rowsOf(model) {
  const rows = [{ row: {}, panels: [] }];
  for (const panel of model.panels ?? []) {
    if (panel.type === 'row') rows.push({ row: panel, panels: [...(panel.panels ?? [])] });
    else rows.at(-1).panels.push(panel);
    if (panel.type === 'row' && panel.collapsed) rows.push({ row: {}, panels: [] });
  }
  return rows;
}

/** Every panel as often as it is shown, each with the part of the scene it is in. */
export function panelsOf(scene, model) {
  const shown = [];
  for (const { row, panels } of rowsOf(model)) {
    for (const rowOf of repeated(scene, row.repeat)) {
      adopt(scene, rowOf.part);
      for (const panel of panels) {
        if (panel.timeFrom || panel.timeShift) throw new Error(`panel ${panel.title}: a time of its own is not known here`);
        for (const panelOf of repeated(rowOf.part, panel.repeat)) {
          shown.push({ panel, part: adopt(rowOf.part, panelOf.part), repeat: { ...rowOf.repeat, ...panelOf.repeat } });
        }
      }
    }
  }
  return shown;
}

/** The scene of a dashboard: its variables are settled in the order in which they need one another. */
export async function sceneOf(model, { from, to, values, answers }) {
  const variables = (model.templating?.list ?? []).map(variableOf);
  const names = new Set(variables.map((variable) => variable.state.name));
  const strange = [...Object.keys(values), ...Object.keys(answers)].filter((name) => !names.has(name));
  if (strange.length) throw new Error(`dashboard ${model.uid} has no variable ${strange.join(', ')}`);
  const scene = new Part({
    $timeRange: new scenes.SceneTimeRange({
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      timeZone: model.timezone || 'browser',
    }),
    $variables: new scenes.SceneVariableSet({ variables }),
  });
  templates.page = scene;
  const requests = new Map();
  const missing = [];
  for (let waiting = variables; waiting.length; ) {
    const variable = first(waiting);
    const { name } = variable.state;
    requests.set(variable, await settle(variable, values[name], answers[name]));
    if (unknown(variable, values[name], answers[name])) missing.push(name);
    waiting = waiting.filter((other) => other !== variable);
  }
  return { scene, variables, requests, missing };
}
