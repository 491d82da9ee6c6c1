// What Grafana's server, which is not on npm, puts for $__interval, $__rate_interval, $__range and $__auto, and the
// step it asks the servers for. Ours; the rules are those of
// https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/ and
// https://grafana.com/docs/grafana/latest/datasources/loki/template-variables/. Dashboard variables are not done here.
import headless from './headless.cjs';

const { rangeUtil } = headless.data;

// Prometheus refuses more points than this for each series.
const SAFE_POINTS = 11000;
const RATE_INTERVAL = /^\$(__rate_interval|\{__rate_interval\})$/;
const ANY_INTERVAL = /^\$(__(rate_)?interval(_ms)?|\{__(rate_)?interval(_ms)?\})$/;

/** A duration as Grafana writes it: its largest unit only. */
export function short(ms) {
  return ms < 1 ? '1ms' : rangeUtil.secondsToHms(ms / 1000);
}

/** A duration as Go writes it, which is how $__rate_interval is written. */
export function long(ms) {
  if (ms < 1000) return `${ms}ms`;
  const [hours, minutes, seconds] = [Math.floor(ms / 3600000), Math.floor(ms / 60000) % 60, (ms % 60000) / 1000];
  return (hours ? `${hours}h` : '') + (hours || minutes ? `${minutes}m` : '') + `${seconds}s`;
}

function rateInterval(interval, scrape) {
  return Math.max(interval + scrape, 4 * scrape);
}

function withValues(text, values) {
  // $__interval is the beginning of $__interval_ms, as $__range is of $__range_s.
  const names = Object.keys(values).sort((a, b) => b.length - a.length);
  const forms = names.flatMap((name) => [[`$${name}`, values[name]], [`\${${name}}`, values[name]]]);
  return forms.reduce((done, [form, value]) => done.replaceAll(form, value), text);
}

function rangeValues(from, to) {
  const seconds = Math.round((to - from) / 1000);
  return { __range_ms: to - from, __range_s: seconds, __range: `${seconds}s` };
}

/** A Prometheus query as the server sends it: its expression and its step. */
export function prometheus({ expr, interval: minStep = '', intervalFactor }, times) {
  const { from, to, intervalMs, maxDataPoints, scrape } = times;
  const scrapeMs = rangeUtil.intervalToMs(scrape);
  const fixed = minStep && !ANY_INTERVAL.test(minStep) ? rangeUtil.intervalToMs(minStep) : undefined;
  const wanted = (to - from) / maxDataPoints;
  const least = fixed ?? intervalMs;
  const safe = rangeUtil.roundInterval((to - from) / SAFE_POINTS);
  const interval = Math.max(wanted < least ? least : rangeUtil.roundInterval(wanted), safe);
  const step = RATE_INTERVAL.test(minStep) ? rateInterval(interval, scrapeMs) : interval * (intervalFactor || 1);
  const scrapeOfRate = minStep ? (fixed ?? step) : scrapeMs;
  const rate = RATE_INTERVAL.test(minStep) ? step : rateInterval(intervalMs, scrapeOfRate);
  const values = {
    __interval_ms: step,
    __interval: short(step),
    __rate_interval_ms: rate,
    __rate_interval: long(rate),
    ...rangeValues(from, to),
  };
  return { expr: withValues(expr, values), step };
}

/** A Loki query as the server sends it: its expression and its step. */
export function loki({ expr, step: fixed, resolution, queryType }, { from, to, intervalMs }) {
  const times = [1, 2, 3, 4, 5, 10].includes(resolution) ? resolution : 1;
  const interval = { __interval_ms: intervalMs, __interval: short(intervalMs) };
  const step = fixed
    ? rangeUtil.intervalToMs(withValues(fixed, interval)) * times
    : Math.ceil(Math.max(intervalMs * times, (to - from) / SAFE_POINTS));
  const range = rangeValues(from, to);
  const auto = queryType === 'instant' ? range.__range : short(step);
  return { expr: withValues(expr, { ...interval, ...range, __auto: auto }), step };
}
