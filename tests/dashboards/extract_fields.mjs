// The transformation extractFields, which only Grafana's unpublished half has: ours, and only for JSON, for the options
// source, format (json or auto), jsonPaths, replace and keepTime. Whatever is more than that is refused.
import { map } from 'rxjs';
import headless from './headless.cjs';

const { data } = headless;

function parsed(value, format) {
  if (typeof value !== 'string') return value ?? {};
  try {
    return JSON.parse(value) ?? {};
  } catch {
    // What is no JSON has no fields, as in Grafana; with auto, Grafana would try other formats.
    if (format === 'auto') throw new Error('extractFields: only JSON is known here');
    return {};
  }
}

function chosen(row, paths) {
  if (!paths.length) return row;
  const at = (path) => path.split(/[.[\]]+/).filter(Boolean).reduce((value, key) => value?.[key], row);
  return Object.fromEntries(paths.map(({ path, alias }) => [alias || path, at(path) ?? 'Not Found']));
}

function extracted(frame, { source, format = 'auto', jsonPaths = [], replace, keepTime }) {
  const named = (name) => frame.fields.find((field) => field.name === name || data.getFieldDisplayName(field, frame) === name);
  const from = named(source);
  if (!from) return frame;
  if (!['json', 'auto'].includes(format)) throw new Error(`extractFields: the format ${format} is not known here`);
  const paths = format === 'json' ? jsonPaths.filter(({ path }) => path) : [];
  const rows = from.values.map((value) => chosen(parsed(value, format), paths));
  const fields = [...new Set(rows.flatMap(Object.keys))].map((name) => {
    const values = rows.map((row) => row[name]);
    return { name, values, type: data.getFieldTypeFromValue(values.find((value) => value != null)), config: {} };
  });
  const time = keepTime && (named('Time') ?? named('time'));
  return { ...frame, fields: [...(replace ? [] : frame.fields), ...(time ? [time] : []), ...fields] };
}

export const extractFields = {
  id: 'extractFields',
  name: 'Extract fields',
  operator: (options) => map((frames) => frames.map((frame) => extracted(frame, options))),
};
