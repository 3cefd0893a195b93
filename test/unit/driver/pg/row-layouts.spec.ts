import { expect, it } from 'vitest';
import { RowLayouts } from '../../../../lib/engine/driver/pg/wire/row-layouts.js';
import { resolveTypes } from '../../../../lib/engine/driver/types/types.js';

const columns = [
  { name: 'id', dataTypeID: 23 },
  { name: 'mood', dataTypeID: 20_000 },
];

it('the same columns have one layout, however often they are described', () => {
  const layouts = new RowLayouts(resolveTypes());
  expect(layouts.of(columns.map((field) => ({ ...field })))).toBe(layouts.of(columns));
});

it('columns of another name, another type or another order have a layout of their own', () => {
  const layouts = new RowLayouts(resolveTypes());
  const others = [
    columns.toReversed(),
    columns.slice(0, 1),
    columns.map((field) => ({ ...field, name: `${field.name}2` })),
    columns.map((field) => ({ ...field, dataTypeID: 25 })),
  ];
  expect(new Set([columns, ...others].map((each) => layouts.of(each))).size).toBe(5);
});

it('a layout is made anew when the database has told of a type', () => {
  const types = resolveTypes();
  const layouts = new RowLayouts(types);
  const before = layouts.of(columns);
  types.catalog.add([20_000], [{ oid: 20_000, baseOid: 23, elementOid: null, isWord: false }]);
  expect(layouts.of(columns)).not.toBe(before);
  expect(layouts.of(columns).unknownTypes).toEqual([]);
});
