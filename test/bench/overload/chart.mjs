const WIDTH = 760;
const HEIGHT = 300;
const PANEL = { width: 290, height: 190, top: 50 };
const COLORS = ['#0969da', '#bc4c00'];

/** Two panels over the load: answers in time as a share of the capacity, and p99 in targets. */
export function chart(lines) {
  const names = [...new Set(lines.map(({ name }) => name))];
  const panels = [
    {
      left: 50,
      title: 'Answers in time, share of the capacity',
      of: (line) => line.goodput,
      top: 1.2,
      step: 0.2,
    },
    { left: 430, title: 'p99 of what was served, in targets', of: (line) => line.p99, top: 24, step: 4 },
  ];
  const legend = names.map(
    (name, index) =>
      `<rect x="${50 + index * 200}" y="8" width="14" height="14" fill="${COLORS[index]}"/>` +
      text(70 + index * 200, 20, name),
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="Answers in time and their 99th percentile over the load" font-family="sans-serif" font-size="12">` +
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>${legend.join('')}` +
    `${panels.map((panel) => draw(panel, lines, names)).join('')}</svg>\n`
  );
}

function draw({ left, title, of, top, step }, lines, names) {
  const loads = [...new Set(lines.map(({ load }) => load))];
  const [least, most] = [Math.min(...loads), Math.max(...loads)];
  const x = (load) => round(left + ((load - least) / (most - least)) * PANEL.width);
  const y = (value) => round(PANEL.top + PANEL.height * (1 - Math.min(value, top) / top));
  const grid = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step).map(
    (value) =>
      `<path d="M${left} ${y(value)}h${PANEL.width}" stroke="#d0d7de"/>` +
      text(left - 6, y(value) + 4, String(round(value)), 'end'),
  );
  const ticks = loads.map((load) => text(x(load), PANEL.top + PANEL.height + 18, `${load} ×`, 'middle'));
  const curves = names.map((name, index) => {
    const points = lines.filter((line) => line.name === name).map((line) => `${x(line.load)},${y(of(line))}`);
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${COLORS[index]}" stroke-width="2.5"/>`;
  });
  const axis = text(left + PANEL.width / 2, PANEL.top + PANEL.height + 38, 'load, in capacities', 'middle');
  return [text(left, PANEL.top - 12, title), ...grid, ...ticks, ...curves, axis].join('');
}

function text(x, y, words, anchor = 'start') {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="#1f2328">${words}</text>`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
