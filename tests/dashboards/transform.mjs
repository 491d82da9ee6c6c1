// Reads what servers answered, or frames, and a panel's transformations from stdin, and writes the frames that the panel
// would draw. The transformations are Grafana's own; one that is not known is an error here, where Grafana skips it.
import { readFileSync } from 'node:fs';
import { lastValueFrom } from 'rxjs';
import headless from './headless.cjs';
import { extractFields } from './extract_fields.mjs';
import * as frames from './frames.mjs';

const { data } = headless;
const { sources, transformations } = JSON.parse(readFileSync(0, 'utf8'));

const known = new Map([...Object.values(data.standardTransformers), extractFields].map((one) => [one.id, one]));
data.standardTransformersRegistry.setInit(() =>
  [...known.values()].map((one) => ({ id: one.id, name: one.name, transformation: async () => one })),
);
const strange = transformations.filter(({ id }) => !known.has(id));
if (strange.length) throw new Error(`not known here: the transformation ${strange.map(({ id }) => id).join(', ')}`);

function framesOf(type, all) {
  if (type === 'prometheus') return frames.prometheus(all);
  if (type === 'frame') return all.map(({ frame }) => frames.plain(frame));
  return all.flatMap(frames[type]);
}

const types = [...new Set(sources.map(({ type }) => type))];
const before = types.flatMap((type) => framesOf(type, sources.filter((source) => source.type === type)));
const after = await lastValueFrom(data.transformDataFrame(transformations, before));

// JSON has no such numbers; grafana.py makes them again.
const special = (_, value) =>
  typeof value === 'number' && !Number.isFinite(value) ? { $number: String(value) } : value;
const written = after.map((frame) => ({
  name: frame.name ?? null,
  refId: frame.refId ?? null,
  fields: frame.fields.map((field) => ({
    name: data.getFieldDisplayName(field, frame, after),
    rawName: field.name,
    type: field.type,
    labels: field.labels ?? {},
    config: field.config,
    values: Array.from(field.values, (value) => value ?? null),
  })),
}));
process.stdout.write(JSON.stringify(written, special), () => process.exit());
