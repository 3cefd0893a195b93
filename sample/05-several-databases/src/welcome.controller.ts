import { Controller, Get, Header, Headers } from '@nestjs/common';

const CALLS: readonly (readonly [what: string, call: string])[] = [
  ['A sale', `curl /sales -H 'content-type: application/json' -d '{"product":"coffee","amount":3}'`],
  [
    'A sale that is refused, and reported nowhere',
    `curl /sales -H 'content-type: application/json' -d '{"product":"coffee","amount":0}'`,
  ],
  ['The reports', 'curl /reports'],
];

/** What a browser shows first: what this application can do. */
@Controller()
export class WelcomeController {
  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  page(@Headers('host') host = 'localhost:3000'): string {
    const list = CALLS.map(
      ([what, call]) => `<dt>${what}</dt><dd><pre>${escaped(withHost(call, host))}</pre></dd>`,
    ).join('\n');
    return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The shop and its reports · nest-async-engine</title>
<style>:root { color-scheme: light dark; } body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; } pre { overflow: auto; } dt { font-weight: 600; } dd { margin: 0; }</style>
<h1>The shop and its reports</h1>
<p>Two databases: a sale is stored in one, and reported to the other after its commit.</p>
<dl>
${list}
</dl>
<p>What each of them does on the database: <a href="/_database">the page of the database</a>.</p>
</html>`;
  }
}

/** A path in a call is a path of this application. */
function withHost(call: string, host: string): string {
  return call.replace(/ ('?)\//, (_, quote: string) => ` ${quote}${host}/`);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
