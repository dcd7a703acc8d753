'use strict';
const numbers = JSON.parse(document.getElementById('numbers').textContent);
const charts = JSON.parse(document.getElementById('charts').textContent);
const chain = document.getElementById('chain');
const dark = matchMedia('(prefers-color-scheme: dark)');
let cameFrom = null;

function element(name, text, parent) {
  const out = document.createElement(name);
  out.textContent = text;
  parent.append(out);
  return out;
}

// The number and, indented, what it follows from.
function steps(id, parent, seen) {
  const number = numbers[id];
  if (!number) return;
  const item = element('li', '', parent);
  element('strong', number.shown, item);
  element('span', ' (' + number.kind + ') ', item);
  element('code', id, item);
  if (seen.has(id)) return;
  seen.add(id);
  if (number.formula) element('small', number.formula, item);
  if (number.source) element('small', 'from ' + number.source, item);
  if (!number.inputs) return;
  const below = element('ul', '', item);
  for (const input of number.inputs) steps(input, below, seen);
}

function follow(id, from) {
  if (!numbers[id]) return;
  cameFrom = from;
  const top = document.createElement('ul');
  steps(id, top, new Set());
  document.getElementById('steps').replaceChildren(top);
  chain.hidden = false;
  chain.scrollTop = 0;
  document.getElementById('close').focus();
}

function close() {
  chain.hidden = true;
  if (cameFrom) cameFrom.focus();
}

document.addEventListener('click', event => {
  const button = event.target.closest('button.number');
  if (button) follow(button.dataset.number, button);
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape' && !chain.hidden) close();
});
document.getElementById('close').addEventListener('click', close);
for (const button of document.querySelectorAll('button.number')) {
  const number = numbers[button.dataset.number];
  if (number) button.title = [number.formula, number.source].filter(Boolean).join('\n');
}

// Okabe and Ito's colours, told apart with any kind of colour vision.
const palette = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#999999', '#b8a800'];

function config() {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue('--ink').trim();
  const soft = css.getPropertyValue('--soft').trim();
  const line = css.getPropertyValue('--line').trim();
  return {
    background: 'transparent', font: getComputedStyle(document.body).fontFamily,
    view: {stroke: null}, range: {category: palette},
    axis: {labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
           labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal', titlePadding: 8, labelLimit: 140},
    legend: {labelColor: ink, titleColor: soft, labelFontSize: 12},
    text: {color: ink}, rule: {color: soft},
  };
}

// On a phone what is written after a bar needs a larger share of the width, and a legend one column.
function fitted(spec) {
  if (innerWidth >= 500) return spec;
  const out = structuredClone(spec);
  const x = out.encoding && out.encoding.x;
  if (x && x.scale && x.scale.domainMax) x.scale.domainMax *= 1.5;
  for (const layer of [out, ...(out.layer || [])]) {
    const colour = layer.encoding && layer.encoding.color;
    if (colour && colour.legend) colour.legend.columns = 1;
  }
  return out;
}

async function draw() {
  for (const [id, whole] of Object.entries(charts)) {
    const spec = fitted(whole);
    const place = document.getElementById('chart-' + id);
    const many = spec.data.values.length > 1500;
    const drawn = await vegaEmbed(place, spec,
        {actions: false, ast: true, config: config(), renderer: many ? 'canvas' : 'svg'});
    drawn.view.addEventListener('click', (_, item) => {
      if (item && item.datum && item.datum.number) follow(item.datum.number, null);
    });
    place.dataset.drawn = 'yes';
  }
  document.documentElement.dataset.ready = 'yes';
}

if (window.vegaEmbed) {
  draw();
  dark.addEventListener('change', draw);
} else {
  document.documentElement.dataset.ready = 'yes';
}
addEventListener('beforeprint', () => {
  for (const part of document.querySelectorAll('details')) part.open = true;
});
