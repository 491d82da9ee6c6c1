// Reads dashboards from stdin and writes what the TypeScript compiler says of them, taken for what dashboard_types.ts says
// that they may hold: a wrong type, an enum's unknown value, a name that is not known. Says nothing of what they show.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const folder = dirname(fileURLToPath(import.meta.url));
const dashboards = JSON.parse(readFileSync(0, 'utf8'));

/** The parts of a dashboard, each with the type that it has to be of: an error in one does not hide the next. */
function parts({ panels = [], ...rest }) {
  const all = panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  return [
    ['dashboard', { ...rest, panels: [] }, 'Dashboard'],
    ...all.flatMap(({ targets = [], panels: inner, ...panel }) => {
      const where = `panel ${panel.id ?? ''} ${JSON.stringify(panel.title ?? '')}`;
      if (panel.type === 'row') return [[where, { ...panel, panels: [] }, 'RowOf']];
      return [
        [where, panel, `PanelOf<${JSON.stringify(panel.type)}>`],
        ...targets.map((target) => [`${where} ${target.refId}`, target, `TargetOf<'${kindOf(target, panel)}'>`]),
      ];
    }),
  ];
}

function kindOf(target, panel) {
  const type = (target.datasource ?? panel.datasource)?.type;
  return ['prometheus', 'loki', 'jaeger'].includes(type) ? type : 'other';
}

const sources = new Map();
const places = new Map();
dashboards.forEach(({ path, dashboard }, index) => {
  const name = join(folder, `dashboard${index}.ts`);
  const lines = ["import type { Dashboard, PanelOf, RowOf, TargetOf } from './dashboard_types';"];
  const starts = [];
  for (const [where, value, type] of parts(dashboard)) {
    starts.push({ line: lines.length, where });
    lines.push(...`void (${JSON.stringify(value, null, 1)} satisfies ${type});`.split('\n'));
  }
  sources.set(name, lines.join('\n'));
  places.set(name, { path, starts, lines });
});

const options = {
  strict: true,
  noEmit: true,
  // Grafana's types name packages that are not installed here.
  skipLibCheck: true,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  target: ts.ScriptTarget.ES2022,
  types: [],
};
const host = ts.createCompilerHost(options);
const { fileExists, readFile, getSourceFile } = host;
host.fileExists = (name) => sources.has(name) || fileExists(name);
host.readFile = (name) => sources.get(name) ?? readFile(name);
host.getSourceFile = (name, ...rest) =>
  sources.has(name) ? ts.createSourceFile(name, sources.get(name), options.target) : getSourceFile(name, ...rest);

const program = ts.createProgram([...sources.keys(), join(folder, 'dashboard_types.ts')], options, host);
const errors = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
  const last = ts.flattenDiagnosticMessageText(messageText, '\n').split('\n').at(-1).trim();
  // The type in which a name does not exist is the whole of a panel's.
  const message = last.replace(/ does not exist in type .*/, ' does not exist');
  const place = file && places.get(file.fileName);
  if (!place) return `${file?.fileName ?? ''}: ${message}`;
  const { line } = file.getLineAndCharacterOfPosition(start);
  const { where } = place.starts.findLast((one) => one.line <= line);
  return `${place.path}: ${where}: ${place.lines[line].trim()}: ${message}`;
});
process.stdout.write(JSON.stringify(errors));
