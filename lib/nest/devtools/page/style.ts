/**
 * The style of the page. Colors come in pairs for light and dark, each of at least 4.5 : 1 on what it stands
 * on.
 */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#f6f5f1, #15171b);
  --card: light-dark(#ffffff, #1e2127);
  --ink: light-dark(#1d2025, #e9e7e2);
  --soft: light-dark(#575d67, #a7acb5);
  --line: light-dark(#dedbd3, #353a43);
  --accent: light-dark(#1f5fbf, #8db8ff);
  --on-accent: light-dark(#ffffff, #10203a);
  --kept: light-dark(#17693a, #7fd6a2);
  --undone: light-dark(#a8321f, #ff9d8a);
  --warn: light-dark(#8a5300, #f2c063);
  --bar: light-dark(#8fb3e6, #40689f);
  --bar-kept: light-dark(#9fd3b4, #2f7a50);
  --bar-undone: light-dark(#efb5aa, #8c4335);
  --bar-wait: light-dark(#f0d59a, #7d6128);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { height: 100%; }
body {
  margin: 0; min-height: 100%; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif;
}
header {
  display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1.25rem;
  padding: 1rem clamp(.75rem, 3vw, 2rem) .5rem;
}
h1 { margin: 0; font-size: 1.3rem; }
h2 { margin: 0 0 .5rem; font-size: 1rem; }
h3 { margin: 1rem 0 .4rem; font-size: .95rem; }
p { margin: .25rem 0 .6rem; color: var(--soft); }
code, .sql { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: .86em; }
button, select { font: inherit; color: inherit; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: .3rem; }
#live { color: var(--soft); }
#live[data-state="live"]::before { content: "● "; color: var(--kept); }
#live[data-state="lost"]::before { content: "● "; color: var(--undone); }
#gauges { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin-left: auto; color: var(--soft); font-variant-numeric: tabular-nums; }
#gauges b { color: var(--ink); }
[role="tablist"] {
  display: flex; flex-wrap: wrap; gap: .25rem; padding: 0 clamp(.75rem, 3vw, 2rem);
  border-bottom: 1px solid var(--line);
}
[role="tab"] {
  padding: .45rem .9rem; background: none; border: 1px solid transparent; border-bottom: 3px solid transparent;
  border-radius: .4rem .4rem 0 0; color: var(--soft); cursor: pointer;
}
[role="tab"][aria-selected="true"] { border-bottom-color: var(--accent); color: var(--ink); }
[role="tab"] .count { margin-left: .35rem; color: var(--soft); font-variant-numeric: tabular-nums; }
[role="tab"] .count.alert { color: var(--undone); font-weight: 700; }
[role="tabpanel"] { padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem; }
.split { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
@media (min-width: 64rem) { .split { grid-template-columns: minmax(0, 24rem) minmax(0, 1fr); align-items: start; } }
.card { min-width: 0; padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .7rem; }
.list { margin: 0; padding: 0; list-style: none; }
.scroll { max-height: 34rem; overflow: auto; }
.unit {
  display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 .75rem; width: 100%; padding: .4rem .5rem; text-align: left;
  background: none; border: 0; border-left: 4px solid var(--line); border-bottom: 1px solid var(--line); cursor: pointer;
}
.unit:hover, .unit[aria-current="true"] { background: color-mix(in srgb, var(--accent) 12%, transparent); }
.unit .name { overflow: hidden; font-weight: 600; text-overflow: ellipsis; white-space: nowrap; }
.unit .time { font-variant-numeric: tabular-nums; }
.unit .facts { grid-column: 1 / -1; color: var(--soft); font-size: .87rem; }
.unit[data-outcome="committed"] { border-left-color: var(--kept); }
.unit[data-outcome="rolled back"], .unit[data-outcome="failed"] { border-left-color: var(--undone); }
.unit[data-outcome="running"] { border-left-color: var(--accent); }
.kept { color: var(--kept); }
.undone { color: var(--undone); }
.warn { color: var(--warn); }
.whole { white-space: nowrap; }
.badge { padding: 0 .45em; border: 1px solid currentColor; border-radius: 1em; font-size: .8rem; white-space: nowrap; }
.steps { margin: 0; padding: 0; list-style: none; }
.step { display: grid; grid-template-columns: minmax(0, 1fr) minmax(5rem, 34%) 4.5rem; gap: 0 .75rem; align-items: center; padding: .2rem 0; }
.step > .time { text-align: right; font-size: .8rem; font-variant-numeric: tabular-nums; }
.step + .step, .steps li + li { border-top: 1px solid color-mix(in srgb, var(--line) 50%, transparent); }
.step .what { min-width: 0; padding-left: calc(var(--depth) * 1.1rem); overflow-wrap: anywhere; }
.step[data-fate="undone"] .sql { text-decoration: line-through; text-decoration-thickness: 1.5px; }
.site, .step .error { display: block; color: var(--soft); font-size: .8rem; }
.step .error { color: var(--undone); }
.track { position: relative; height: 1.1rem; background: color-mix(in srgb, var(--line) 35%, transparent); border-radius: .3rem; }
.track i {
  position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: .3rem; background: var(--bar);
}
.track i[data-fate="kept"] { background: var(--bar-kept); }
.track i[data-fate="undone"] { background: repeating-linear-gradient(-45deg, var(--bar-undone) 0 5px, transparent 5px 8px), color-mix(in srgb, var(--bar-undone) 45%, transparent); }
.track i[data-kind="wait"] { background: var(--bar-wait); }
.track i[data-kind="transaction"], .track i[data-kind="savepoint"] { top: .35rem; bottom: .35rem; }
summary { cursor: pointer; list-style: none; }
summary .badge::before { content: "▸ "; }
details[open] > summary .badge::before { content: "▾ "; }
.badge + .sql, .sql + .badge { margin-left: .5rem; }
.table { overflow: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; }
th button { padding: 0; background: none; border: 0; font-weight: 600; cursor: pointer; }
td.text { min-width: 16rem; max-width: 40rem; overflow-wrap: anywhere; }
.action { padding: .15rem .7rem; background: var(--accent); border: 0; border-radius: .4rem; color: var(--on-accent); cursor: pointer; }
pre { margin: .5rem 0 0; padding: .6rem; overflow: auto; background: color-mix(in srgb, var(--line) 35%, transparent); border-radius: .4rem; font-size: .82rem; }
svg { display: block; width: 100%; height: 7rem; }
svg .loan { fill: var(--bar); } svg .line { fill: none; stroke: var(--undone); stroke-width: 2; } svg .max { stroke: var(--soft); stroke-dasharray: 4 4; }
.tree, .tree ul { list-style: none; margin: 0; padding-left: 1.2rem; }
.tree li { position: relative; padding: .3rem 0 .3rem .4rem; border-left: 2px solid var(--undone); }
.empty { padding: 2rem 1rem; text-align: center; color: var(--soft); }
.finding { padding: .5rem .7rem; border-left: 4px solid var(--warn); border-bottom: 1px solid var(--line); }
.finding p { margin: .1rem 0 0; }
@media (max-width: 40rem) {
  .statements :is(table, tbody) { display: block; }
  .statements thead tr { display: flex; flex-wrap: wrap; }
  .statements tbody tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); padding: .3rem 0; border-bottom: 1px solid var(--line); }
  .statements tbody td { padding: .15rem .2rem; border: 0; }
  .statements td.text { grid-column: 1 / -1; min-width: 0; }
  .statements td.n { text-align: left; }
  .statements td[data-name]::before { content: attr(data-name) " "; color: var(--soft); font-size: .87rem; }
}
@media (max-width: 40rem) { .step { grid-template-columns: minmax(0, 1fr) 4.5rem; } .step .what { grid-column: 1 / -1; } .scroll { max-height: 20rem; } #gauges { margin-left: 0; } }
@media (prefers-reduced-motion: no-preference) { .unit { transition: background .15s; } }
`;
