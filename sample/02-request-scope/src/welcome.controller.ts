import { Controller, Get, Header, Headers } from '@nestjs/common';

const CALLS: readonly (readonly [what: string, call: string])[] = [
  [
    'A note of Ann',
    `curl /notes -H 'x-tenant: ann' -H 'content-type: application/json' -d '{"text":"buy coffee"}'`,
  ],
  ['What Ann sees', `curl /notes -H 'x-tenant: ann'`],
  [
    'A request that fails leaves one line in the journal',
    `curl /notes -H 'x-tenant: bob' -H 'content-type: application/json' -d '{"text":"  "}'`,
  ],
  ['The journal of Bob', `curl /journal -H 'x-tenant: bob'`],
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
<title>The notebook · nest-async-engine</title>
<style>:root { color-scheme: light dark; } body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; } pre { overflow: auto; } dt { font-weight: 600; } dd { margin: 0; }</style>
<h1>The notebook</h1>
<p>Each tenant sees only the notes of that tenant: the request’s connection says who asks, and PostgreSQL’s row-level security does the rest.</p>
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
