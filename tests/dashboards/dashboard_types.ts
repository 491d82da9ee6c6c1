// What a dashboard's JSON may hold, for the compiler: the types are those of @grafana/schema, put together. Only the
// queries of Loki and Jaeger are written here, because their types are not on npm. Nothing of this ever runs.
import type * as schema from '@grafana/schema';
import type { Prometheus } from './node_modules/@grafana/prometheus/dist/types/dataquery';
import type * as barchart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as dashlist from '@grafana/schema/dist/esm/raw/composable/dashboardlist/panelcfg/x/DashboardListPanelCfg_types.gen';
import type * as gauge from '@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as histogram from '@grafana/schema/dist/esm/raw/composable/histogram/panelcfg/x/HistogramPanelCfg_types.gen';
import type * as logs from '@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen';
import type * as nodegraph from '@grafana/schema/dist/esm/raw/composable/nodegraph/panelcfg/x/NodeGraphPanelCfg_types.gen';
import type * as piechart from '@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as statushistory from '@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as trend from '@grafana/schema/dist/esm/raw/composable/trend/panelcfg/x/TrendPanelCfg_types.gen';
import type * as xychart from '@grafana/schema/dist/esm/raw/composable/xychart/panelcfg/x/XYChartPanelCfg_types.gen';

/** The type as JSON has it: an enum is one of its values. */
type Json<T> = 0 extends 1 & T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : T
      : T extends (infer U)[]
        ? Json<U>[]
        : T extends object
          ? { [K in keyof T]: Json<T[K]> }
          : T;

/** What is left out has its default. */
type Sparse<T> = 0 extends 1 & T ? T : T extends unknown[] ? T : T extends object ? { [K in keyof T]?: Sparse<T[K]> } : T;

type Loose = Record<string, unknown>;
type None = Record<string, never>;

/** Each panel's own options, and its own settings of a field. */
interface Panels {
  barchart: [barchart.Options, barchart.FieldConfig];
  bargauge: [bargauge.Options, None];
  dashlist: [dashlist.Options, None];
  gauge: [gauge.Options, None];
  heatmap: [heatmap.Options, heatmap.FieldConfig];
  histogram: [histogram.Options, histogram.FieldConfig];
  logs: [logs.Options, None];
  nodeGraph: [nodegraph.Options, None];
  piechart: [piechart.Options, piechart.FieldConfig];
  stat: [stat.Options, None];
  'state-timeline': [statetimeline.Options, statetimeline.FieldConfig];
  'status-history': [statushistory.Options, statushistory.FieldConfig];
  table: [table.Options, table.FieldConfig];
  text: [text.Options, None];
  timeseries: [timeseries.Options, timeseries.FieldConfig];
  trend: [trend.Options, trend.FieldConfig];
  xychart: [xychart.Options, xychart.FieldConfig];
  // These have no types.
  alertlist: [Loose, None];
  traces: [Loose, None];
  flamegraph: [Loose, None];
}
export type PanelType = keyof Panels;

interface Target {
  refId: string;
  datasource?: schema.DataSourceRef;
  hide?: boolean;
}
interface Loki extends Target {
  expr: string;
  queryType?: 'range' | 'instant';
  legendFormat?: string;
  maxLines?: number;
  step?: string;
  direction?: 'backward' | 'forward';
  editorMode?: 'code' | 'builder';
}
interface Jaeger extends Target {
  query?: string;
  queryType?: 'search' | 'dependencyGraph';
  service?: string;
  operation?: string;
  tags?: string;
  minDuration?: string;
  maxDuration?: string;
  limit?: number;
}
interface Targets {
  prometheus: Prometheus & Target & { interval?: string };
  loki: Loki;
  jaeger: Jaeger;
  other: Target & Loose;
}
export type TargetOf<T extends keyof Targets> = Json<Targets[T]>;

type Defaults<C> = Sparse<Json<Omit<schema.FieldConfig, 'custom'>>> & { custom?: C };
/** A setting of one field, with the type that the same setting has for all of them. */
type Override<C> =
  | { [K in keyof Defaults<C> & string]-?: { id: K; value?: Defaults<C>[K] } }[Exclude<keyof Defaults<C> & string, 'custom'>]
  | { [K in keyof C & string]-?: { id: `custom.${K}`; value?: C[K] } }[keyof C & string];
interface Fields<C> {
  defaults: Defaults<C>;
  overrides: { matcher: Json<schema.MatcherConfig>; properties: Override<C>[] }[];
}

export type PanelOf<T extends PanelType> = Omit<
  Json<schema.Panel>,
  'type' | 'options' | 'fieldConfig' | 'targets' | 'gridPos' | 'links'
> & {
  type: T;
  gridPos: { x: number; y: number; w: number; h: number };
  links?: Sparse<Json<schema.DashboardLink>>[];
  options?: Sparse<Json<Panels[T][0]>>;
  fieldConfig?: Fields<Sparse<Json<Panels[T][1]>>>;
  targets?: Loose[];
};

export type RowOf = Omit<Json<schema.RowPanel>, 'panels' | 'gridPos'> & { gridPos: object; panels: Loose[] };

/** A variable as it is provisioned, without a value, and with the settings that the schema leaves out. */
type Variable = Omit<Json<schema.VariableModel>, 'current'> & {
  current?: Sparse<Json<schema.VariableModel['current']>>;
  auto?: boolean;
  auto_count?: number;
  auto_min?: string;
  definition?: string;
  filters?: { key: string; operator: string; value: string }[];
};
type Annotation = Omit<Json<schema.AnnotationQuery>, 'target'> & {
  target?: Loose;
  expr?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  step?: string;
  useValueForTime?: boolean;
};
export type Dashboard = Omit<Json<schema.Dashboard>, 'panels' | 'templating' | 'annotations' | 'links'> & {
  panels: [];
  links?: Sparse<Json<schema.DashboardLink>>[];
  templating?: { list?: Variable[] };
  annotations?: { list?: Annotation[] };
};
