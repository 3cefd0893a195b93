import { Controller, Get, Header, Headers } from '@nestjs/common';

const CALLS: readonly (readonly [what: string, call: string])[] = [
  ['A new book', `curl /books -H 'content-type: application/json' -d '{"title":"Middlemarch"}'`],
  ['Ada takes it', 'curl -i -X PUT /readers/ada/1'],
  [`Bob can't`, 'curl -i -X PUT /readers/bob/1'],
  ['It comes back', 'curl -i -X DELETE /loans/1'],
  ['What Ada has', 'curl /readers/ada'],
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
<title>The library · nest-async-engine</title>
<style>:root { color-scheme: light dark; } body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; } pre { overflow: auto; } dt { font-weight: 600; } dd { margin: 0; }</style>
<h1>The library</h1>
<p>What this sample is about are its tests; the application lends a book.</p>
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
