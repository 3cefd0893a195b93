// Imported first in the process of a contender that measures another build of the library.
import { register } from 'node:module';

register('./library-hooks.js', import.meta.url, { data: process.env['BENCH_LIBRARY'] });
