import { pathToFileURL } from 'node:url';

/**
 * A call site as people say it: `OrdersService.place (src/orders.service.ts:41:5)`, from the working
 * directory on.
 */
export function placeText(site: unknown): string {
  const folder = process.cwd();
  return String(site)
    .replaceAll(`${pathToFileURL(folder).href}/`, '')
    .replaceAll(`${folder}/`, '');
}
