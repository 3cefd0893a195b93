import { describe, expectTypeOf, it } from 'vitest';
import { from, type Observable } from 'rxjs';
import type { AsyncResult } from '../../lib/engine/result/async-result.js';
import type { AsyncScalarResult } from '../../lib/engine/result/async-result.js';
import type { CursorResult, FrozenResult } from '../../lib/engine/result/cursor-result.js';
import type { MappingResult } from '../../lib/engine/result/cursor-result.js';
import type { PendingResult } from '../../lib/engine/result/pending-result.js';
import type { ScalarResult } from '../../lib/engine/result/cursor-result.js';

interface User {
  id: number;
  name: string | null;
}

describe('types of results', () => {
  it('rows are records by default', () => {
    expectTypeOf<CursorResult>().toEqualTypeOf<CursorResult<Record<string, unknown>>>();
    expectTypeOf<ReturnType<CursorResult['scalar']>>().toEqualTypeOf<unknown>();
  });

  it('buffered questions keep the row type', () => {
    const check = (result: CursorResult<User>): void => {
      expectTypeOf(result.all()).toEqualTypeOf<User[]>();
      expectTypeOf(result.first()).toEqualTypeOf<User | undefined>();
      expectTypeOf(result.one()).toEqualTypeOf<User>();
      expectTypeOf(result.scalars('name')).toEqualTypeOf<ScalarResult<string | null>>();
      expectTypeOf(result.scalars<number>()).toEqualTypeOf<ScalarResult<number>>();
      expectTypeOf(result.scalars<number>('id')).toEqualTypeOf<ScalarResult<number>>();
      expectTypeOf(result.columns('id')).toEqualTypeOf<CursorResult<Pick<User, 'id'>>>();
      expectTypeOf(result.columns(0)).toEqualTypeOf<CursorResult<Record<string, unknown>>>();
      expectTypeOf(result.mappings()).toEqualTypeOf<MappingResult<User>>();
      expectTypeOf(result.tuples<[number, string]>().one()).toEqualTypeOf<[number, string]>();
      expectTypeOf(result.freeze()).toEqualTypeOf<FrozenResult<User>>();
      expectTypeOf(result.unique((row) => row.id)).toEqualTypeOf<CursorResult<User>>();
      expectTypeOf(result.scalar<bigint>()).toEqualTypeOf<bigint | undefined>();
    };
    expectTypeOf(check).toBeFunction();
  });

  it('a pending result is a promise of a result, with its questions', () => {
    expectTypeOf<Awaited<PendingResult<User>>>().toEqualTypeOf<CursorResult<User>>();
    expectTypeOf<ReturnType<PendingResult<User>['one']>>().toEqualTypeOf<Promise<User>>();
    expectTypeOf<PendingResult<User>>().toExtend<Promise<CursorResult<User>>>();
  });

  it('streamed questions keep the row type', () => {
    const check = (result: AsyncResult<User>): void => {
      expectTypeOf(result.one()).toEqualTypeOf<Promise<User>>();
      expectTypeOf(result.scalars('name')).toEqualTypeOf<AsyncScalarResult<string | null>>();
      expectTypeOf(result.open()).toEqualTypeOf<Promise<AsyncResult<User>>>();
      expectTypeOf(result.freeze()).toEqualTypeOf<Promise<FrozenResult<User>>>();
      expectTypeOf(from(result)).toEqualTypeOf<Observable<User>>();
    };
    expectTypeOf(check).toBeFunction();
    expectTypeOf<AsyncResult<User>>().toExtend<AsyncIterable<User>>();
    expectTypeOf<AsyncResult<User>>().not.toExtend<PromiseLike<unknown>>();
  });
});
