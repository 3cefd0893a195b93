import { createHash } from 'node:crypto';
import { PAGE_SCRIPT } from './script.js';
import { PAGE_STYLE } from './style.js';

const TABS = ['Requests', 'Statements', 'Pool', 'Locks', 'Findings'] as const;

const tabs = TABS.map((name, index) => {
  const id = name.toLowerCase();
  const selected = index === 0;
  return `<button role="tab" id="tab-${id}" aria-controls="panel-${id}" aria-selected="${selected}" tabindex="${selected ? 0 : -1}">${name}<span class="count"></span></button>`;
}).join('\n');

const panels = TABS.map((name, index) => {
  const id = name.toLowerCase();
  return `<div role="tabpanel" id="panel-${id}" aria-labelledby="tab-${id}"${index === 0 ? '' : ' hidden'}></div>`;
}).join('\n');

/** The whole page: it asks for nothing but the events of its own address. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Database · nest-async-engine</title>
<link rel="icon" href="data:,">
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>Database</h1>
<span id="live" role="status" data-state="lost">connecting …</span>
<span id="gauges"></span>
</header>
<main>
<div role="tablist" aria-label="What to look at">
${tabs}
</div>
${panels}
</main>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Nothing from elsewhere runs in the page, whatever a label or an SQL text holds. */
export const PAGE_POLICY = [
  `default-src 'none'`,
  `script-src ${hashOf(PAGE_SCRIPT)}`,
  `style-src ${hashOf(PAGE_STYLE)}`,
  `connect-src 'self'`,
  `img-src data:`,
  `base-uri 'none'`,
  `form-action 'none'`,
  `frame-ancestors 'self'`,
].join('; ');
