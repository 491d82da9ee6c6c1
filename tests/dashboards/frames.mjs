// What a server answered as the data frames that a panel gets of it. Grafana's server makes them, in Go, so that this is
// ours, after what it documents and shows in its query inspector; the rest of Prometheus' way is Grafana's own code.
// Jaeger's node graph, which Grafana adds to a trace where the data source says so, is not made here.
import headless from './headless.cjs';

const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity })[text] ?? Number(text);
const field = (name, type, values, more = {}) => ({ name, type, values, config: {}, ...more });
const frame = (refId, fields, more = {}) => ({ refId, fields, length: fields[0].values.length, ...more });

function seriesName(labels) {
  const { __name__: name = '', ...rest } = labels;
  const parts = Object.keys(rest).sort().map((key) => `${key}=${JSON.stringify(rest[key])}`);
  return parts.length || !name ? `${name}{${parts.join(', ')}}` : name;
}

function legend(labels, { legendFormat, expr }) {
  if (legendFormat === '__auto') return Object.keys(labels).length ? undefined : expr;
  if (legendFormat) return legendFormat.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => labels[name] ?? '');
  return Object.keys(labels).length ? seriesName(labels) : expr;
}

/** Each series of a Prometheus answer, a vector being series of one point each. */
function seriesOf({ resultType, result }) {
  if (resultType === 'scalar' || resultType === 'string') return [{ metric: {}, values: [result] }];
  return result.map(({ metric, value, values }) => ({ metric, values: values ?? [value] }));
}

function series(source) {
  const { refId, step } = source;
  return seriesOf(source.response).map(({ metric, values }) => {
    const displayNameFromDS = legend(metric, source);
    const interval = source.response.resultType === 'matrix' && step ? { interval: step } : {};
    const times = values.map(([time]) => Math.round(time * 1000));
    const points = values.map(([, value]) => number(value));
    return frame(
      refId,
      [
        field('Time', 'time', times, { config: interval }),
        field(metric.__name__ ?? 'Value', 'number', points, {
          labels: metric,
          config: displayNameFromDS ? { displayNameFromDS } : {},
        }),
      ],
      { name: displayNameFromDS, meta: { type: 'timeseries-multi', custom: { resultType: source.response.resultType } } },
    );
  });
}

/** Frames of all Prometheus answers of a panel: of a table's format, one of one query is otherwise than one of several. */
export function prometheus(sources) {
  const { transformV2 } = headless.prometheus;
  const targets = sources.map(({ refId, format, legendFormat }) => ({ refId, format, legendFormat }));
  const data = sources.flatMap(series);
  return transformV2({ data }, { targets, app: 'dashboard' }, { exemplarTraceIdDestinations: [] }).data;
}

function checksum(text) {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = (Math.imul(hash, 0x01000193) ^ byte) >>> 0;
  return hash.toString(16);
}

const sorted = (labels) => Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Every line of every stream, with all that is known of it as its labels. */
function linesOf({ result, encodingFlags = [] }) {
  return result.flatMap(({ stream, values }) =>
    values.map(([tsNs, line, { structuredMetadata = {}, parsed = {} } = {}]) => {
      const types = [
        [stream, 'I'],
        [structuredMetadata, 'S'],
        [parsed, 'P'],
      ].flatMap(([labels, type]) => Object.keys(labels).map((name) => [name, type]));
      const categorized = encodingFlags.includes('categorize-labels');
      return {
        tsNs,
        line,
        labels: sorted({ ...stream, ...structuredMetadata, ...parsed }),
        ...(categorized ? { types: sorted(Object.fromEntries(types)) } : {}),
      };
    }),
  );
}

function idsOf(lines) {
  const seen = new Map();
  return lines.map(({ tsNs, line, labels }) => {
    const id = `${tsNs}_${checksum(`${line}_${JSON.stringify(labels)}`)}`;
    const times = seen.get(id) ?? 0;
    seen.set(id, times + 1);
    return times ? `${id}_${times}` : id;
  });
}

function derived({ name, matcherType, matcherRegex }, lines) {
  const value = ({ line, labels }) =>
    (matcherType === 'label' ? labels[matcherRegex] : line.match(new RegExp(matcherRegex))?.[1]) ?? null;
  return field(name, 'string', lines.map(value));
}

function logs({ refId, response, derivedFields = [] }) {
  const lines = linesOf(response);
  const fields = [
    field('labels', 'other', lines.map(({ labels }) => labels)),
    field('Time', 'time', lines.map(({ tsNs }) => Math.floor(Number(BigInt(tsNs) / 1000n) / 1000))),
    field('Line', 'string', lines.map(({ line }) => line)),
    field('tsNs', 'string', lines.map(({ tsNs }) => tsNs)),
    ...(lines[0]?.types ? [field('labelTypes', 'other', lines.map(({ types }) => types))] : []),
    field('id', 'string', idsOf(lines)),
    ...derivedFields.map((config) => derived(config, lines)),
  ];
  return frame(refId, fields, { meta: { custom: { frameType: 'LabeledTimeValues' }, preferredVisualisationType: 'logs' } });
}

function instantTable({ refId, response }) {
  const all = seriesOf(response);
  const names = [...new Set(all.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return frame(
    refId,
    [
      field('Time', 'time', all.map(({ values }) => Math.round(values[0][0] * 1000))),
      ...names.map((name) =>
        field(name, 'string', all.map(({ metric }) => metric[name] ?? ''), { config: { filterable: true } }),
      ),
      field(`Value #${refId}`, 'number', all.map(({ values }) => number(values[0][1]))),
    ],
    { meta: { preferredVisualisationType: 'table' } },
  );
}

/** Frames of one Loki answer: lines, the table of an instant query of a metric, or series. */
export function loki(source) {
  const { resultType } = source.response;
  if (resultType === 'streams') return [logs(source)];
  return resultType === 'vector' ? [instantTable(source)] : series(source);
}

function trace(refId, { spans, processes }) {
  const parentOf = ({ references = [] }) => references.find(({ refType }) => refType === 'CHILD_OF')?.spanID ?? null;
  const parents = spans.map(parentOf);
  const of = (name, type, value) => field(name, type, spans.map(value));
  const inMs = (log) => ({ ...log, timestamp: Math.floor(log.timestamp / 1000) });
  const fields = [
    of('traceID', 'string', ({ traceID }) => traceID),
    of('spanID', 'string', ({ spanID }) => spanID),
    of('parentSpanID', 'string', (_, index) => parents[index]),
    of('operationName', 'string', ({ operationName }) => operationName),
    of('serviceName', 'string', ({ processID }) => processes[processID]?.serviceName ?? ''),
    of('serviceTags', 'other', ({ processID }) => processes[processID]?.tags ?? []),
    of('startTime', 'number', ({ startTime }) => startTime / 1000),
    of('duration', 'number', ({ duration }) => duration / 1000),
    of('logs', 'other', ({ logs = [] }) => (logs ?? []).map(inMs)),
    of('references', 'other', ({ references = [] }, index) => references.filter(({ spanID }) => spanID !== parents[index])),
    of('tags', 'other', ({ tags }) => tags ?? []),
    of('warnings', 'other', ({ warnings }) => warnings ?? null),
    of('stackTraces', 'other', ({ stackTraces }) => stackTraces ?? null),
  ];
  return frame(refId, fields, { meta: { preferredVisualisationType: 'trace', custom: { traceFormat: 'jaeger' } } });
}

function found(refId, traces) {
  const rows = traces
    .filter(({ spans }) => spans.length)
    .map(({ traceID, spans, processes }) => {
      const root = spans.reduce((first, span) => (span.startTime < first.startTime ? span : first));
      return { traceID, root, name: `${processes[root.processID]?.serviceName ?? ''}: ${root.operationName}` };
    })
    .sort((a, b) => b.root.startTime - a.root.startTime);
  const config = (displayName, unit) => ({ config: { displayName, ...(unit ? { unit } : {}) } });
  const fields = [
    field('traceID', 'string', rows.map(({ traceID }) => traceID), config('Trace ID')),
    field('traceName', 'string', rows.map(({ name }) => name), config('Trace name')),
    field('startTime', 'time', rows.map(({ root }) => root.startTime / 1000), config('Start time')),
    field('duration', 'number', rows.map(({ root }) => root.duration), config('Duration', 'µs')),
  ];
  return frame(refId, fields, { name: 'traces', meta: { preferredVisualisationType: 'table' } });
}

/** Frames of one Jaeger answer: the traces that a search found, or the spans of one trace. */
export function jaeger({ refId, kind, response }) {
  return [kind === 'search' ? found(refId, response) : trace(refId, response[0] ?? { spans: [], processes: {} })];
}

/** A frame that a test wrote. */
export function plain({ refId, fields, ...rest }) {
  return frame(refId, fields.map(({ name, type, values, ...more }) => field(name, type, values, more)), rest);
}
