// Draws the last hour, and follows the stream of events. The tables are complete without.
// fetch refuses a URL with a password, which that of the page may have.
const here = (path) => new URL(path, location.origin + location.pathname);
const state = document.getElementById('stream-state');
const holder = document.getElementById('charts');
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const milliseconds = (list) => list.map((v) => (v === null ? null : v * 1000));

// Spans of time, and the unit in which the age of the data is drawn.
const spans = [['s', 1], ['min', 60], ['h', 3600], ['d', 86400]];
const unknown = ['not known', 1];
function ageSpan(o) {
  const known = o.data_age.filter((v) => v !== null);
  if (known.length === 0) return unknown;
  const most = Math.max(...known);
  return spans.findLast(([, seconds]) => most >= 3 * seconds) ?? spans[0];
}
function ages(o) {
  const [, seconds] = ageSpan(o);
  return o.data_age.map((v) => (v === null ? null : v / seconds));
}

// The charts: a title, a unit, and the series of an overview.
const kinds = [
  ['Requests', 'a second', (o) => [['requests', o.requests]]],
  ['Latency of requests', 'ms', (o) => [['P50', milliseconds(o.p50)], ['P95', milliseconds(o.p95)], ['P99', milliseconds(o.p99)]]],
  ['Predictions by route', 'a second', (o) => o.routes.map((s) => [s.name, s.values])],
  ['Failures by kind', 'a second', (o) => o.errors.map((s) => [s.name, s.values])],
  ['Memory', 'MiB', (o) => [['memory', o.memory.map((v) => (v === null ? null : v / 1048576))]]],
  ['Age of the data', (o) => ageSpan(o)[0], (o) => [['age', ages(o)]]],
];
const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);
let charts = [];
let hour = null;

// A name is shown in a legend: characters that turn or break text become their numbers.
const visible = (name) => name.replace(/[\p{C}\p{Z}]/gu, (c) => (c === ' ' ? c : 'U+' + c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')));

// timeRange is at least a minute: one step alone has no length.
function timeRange() {
  const last = hour.times.at(-1) ?? Date.now() / 1000;
  return [Math.min(hour.times[0] ?? last, last - 60), last];
}

function draw() {
  charts.forEach((c) => c.destroy());
  holder.replaceChildren();
  charts = kinds.map(([title, unit, series]) => {
    const list = series(hour);
    const figure = document.createElement('figure');
    const caption = document.createElement('figcaption');
    caption.textContent = `${title}, ${typeof unit === 'string' ? unit : unit(hour)}`;
    figure.append(caption);
    figure.setAttribute('aria-label', `${title}: a picture of the last hour; its figures are in the tables`);
    holder.append(figure);
    const axis = { stroke: colour('--dim'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
    return new uPlot({
      width: figure.clientWidth,
      height: 200,
      padding: [null, 28, null, null], // the last time of the axis is wider than its point
      legend: { isolate: true },
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: timeRange },
        y: { range: (u, low, high) => [0, high > 0 ? high * 1.05 : 1] },
      },
      axes: [{ ...axis, space: 70, values: (u, list) => list.map(clock) }, { ...axis, size: 60 }],
      series: [{ label: 'time', value: (u, v) => (v === null || v === undefined ? 'none' : clock(v)) }].concat(list.map(([name], i) => ({
        label: visible(name), stroke: colour(`--c${(i % 6) + 1}`), width: 1.5, spanGaps: false,
        dash: i >= 6 ? [6, 4] : undefined, points: { show: hour.times.length < 3 },
        value: (u, v) => (v === null || v === undefined ? 'none' : v.toPrecision(3)),
      }))),
    }, [hour.times, ...list.map(([, values]) => values)], figure);
  });
}

// add appends the last step to the hour; what has gone on meanwhile is asked for again.
function add(last) {
  const time = last.times[0];
  if (time === undefined || time === hour.times.at(-1)) return true;
  const same = (key) => last[key].length === hour[key].length && last[key].every((s, i) => s.name === hour[key][i].name);
  const known = last.errors.every((s) => hour.errors.some((t) => t.name === s.name));
  if (!same('routes') || !known || time !== (hour.times.at(-1) ?? time) + hour.step_seconds) return false;
  const span = ageSpan(hour);
  const push = (list, value) => {
    list.push(value);
    if (list.length > 720) list.shift();
  };
  for (const key of ['times', 'requests', 'p50', 'p95', 'p99', 'memory', 'data_age']) push(hour[key], last[key][0]);
  hour.routes.forEach((s, i) => push(s.values, last.routes[i].values[0]));
  hour.errors.forEach((s) => push(s.values, last.errors.find((t) => t.name === s.name)?.values[0] ?? 0));
  if (ageSpan(hour) !== span) draw();
  else charts.forEach((c, i) => c.setData([hour.times, ...kinds[i][2](hour).map(([, values]) => values)]));
  return true;
}

async function load() {
  const answer = await fetch(here('api/overview'));
  if (!answer.ok) throw new Error(answer.statusText);
  hour = await answer.json();
  draw();
  performance.mark('drawn');
}

function say(text, failed) {
  state.textContent = text;
  state.classList.toggle('note', failed);
}
const gone = () => say(`The server does not answer since ${new Date().toLocaleTimeString()}: what is shown is from before. This page goes on when it answers again.`, true);

let source = null;
let missed = false; // steps, while there was no stream
function follow() {
  source = new EventSource(here('api/stream'));
  source.onopen = () => {
    say('Live.', false);
    if (missed) load().catch(gone);
    missed = false;
  };
  source.onerror = () => {
    missed = true;
    if (!state.classList.contains('note')) gone();
    if (source.readyState === EventSource.CLOSED) say('This page is not live: too many are open, or you are no longer logged in. Load it again.', true);
  };
  source.onmessage = (event) => {
    const update = JSON.parse(event.data);
    const page = new DOMParser().parseFromString(update.html, 'text/html');
    for (const id of ['figures', 'tables']) document.getElementById(id).replaceWith(page.getElementById(id));
    if (hour === null || !add(update.last)) load().catch(gone);
  };
}

if (holder) {
  load().catch(gone);
  follow();
  // A page that nobody sees needs no connection, of which a browser has few.
  document.addEventListener('visibilitychange', () => {
    source.close();
    missed = true;
    if (!document.hidden) follow();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => hour && draw());
  let width = holder.clientWidth;
  new ResizeObserver(() => {
    if (holder.clientWidth === width || hour === null) return;
    width = holder.clientWidth;
    charts.forEach((c) => c.setSize({ width: c.root.parentElement.clientWidth, height: 200 }));
  }).observe(holder);
}
