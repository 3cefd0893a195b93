import type { ServerResponse } from 'node:http';

/** Adds the header that `header` gives when the head of the answer is written. */
export function addToHead(
  response: ServerResponse,
  header: () => readonly [name: string, value: string] | undefined,
): void {
  const writeHead = response.writeHead.bind(response) as (...given: unknown[]) => ServerResponse;
  response.writeHead = (...given: unknown[]): ServerResponse => {
    response.writeHead = writeHead;
    const added = header();
    if (added !== undefined) addHeader(response, given.at(-1), added);
    return writeHead(...given);
  };
}

/** Those that are given to `writeHead()` take the place of others of their names. */
function addHeader(response: ServerResponse, given: unknown, [name, value]: readonly [string, string]): void {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) {
    const headers = given as Record<string, unknown>;
    const own = Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase());
    if (own !== undefined) {
      headers[own] = [headers[own], value].flat();
      return;
    }
  }
  response.appendHeader(name, value);
}
