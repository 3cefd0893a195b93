/**
 * A type that every server has, by its OID and the OID of its array; both are fixed in the server's catalog.
 */
export interface BuiltinType {
  readonly oid: number;
  /** Undefined where there is no array, or one whose text has another separator than a comma (`box`). */
  readonly arrayOid?: number;
}

const type = (oid: number, arrayOid?: number): BuiltinType =>
  arrayOid === undefined ? { oid } : { oid, arrayOid };

/** By the name in `pg_type`. */
const BUILTIN_TYPES: Readonly<Record<string, BuiltinType>> = {
  pg_type: type(71, 210),
  pg_attribute: type(75, 270),
  pg_proc: type(81, 272),
  pg_class: type(83, 273),
  bool: type(16, 1000),
  bytea: type(17, 1001),
  char: type(18, 1002),
  name: type(19, 1003),
  int8: type(20, 1016),
  int2: type(21, 1005),
  int2vector: type(22, 1006),
  int4: type(23, 1007),
  regproc: type(24, 1008),
  text: type(25, 1009),
  oid: type(26, 1028),
  tid: type(27, 1010),
  xid: type(28, 1011),
  cid: type(29, 1012),
  oidvector: type(30, 1013),
  json: type(114, 199),
  xml: type(142, 143),
  point: type(600, 1017),
  lseg: type(601, 1018),
  path: type(602, 1019),
  box: type(603),
  polygon: type(604, 1027),
  line: type(628, 629),
  cidr: type(650, 651),
  float4: type(700, 1021),
  float8: type(701, 1022),
  circle: type(718, 719),
  macaddr8: type(774, 775),
  money: type(790, 791),
  macaddr: type(829, 1040),
  inet: type(869, 1041),
  aclitem: type(1033, 1034),
  bpchar: type(1042, 1014),
  varchar: type(1043, 1015),
  date: type(1082, 1182),
  time: type(1083, 1183),
  timestamp: type(1114, 1115),
  timestamptz: type(1184, 1185),
  interval: type(1186, 1187),
  timetz: type(1266, 1270),
  bit: type(1560, 1561),
  varbit: type(1562, 1563),
  numeric: type(1700, 1231),
  refcursor: type(1790, 2201),
  regprocedure: type(2202, 2207),
  regoper: type(2203, 2208),
  regoperator: type(2204, 2209),
  regclass: type(2205, 2210),
  regtype: type(2206, 2211),
  record: type(2249, 2287),
  cstring: type(2275, 1263),
  void: type(2278),
  uuid: type(2950, 2951),
  txid_snapshot: type(2970, 2949),
  pg_lsn: type(3220, 3221),
  tsvector: type(3614, 3643),
  tsquery: type(3615, 3645),
  gtsvector: type(3642, 3644),
  regconfig: type(3734, 3735),
  regdictionary: type(3769, 3770),
  jsonb: type(3802, 3807),
  int4range: type(3904, 3905),
  numrange: type(3906, 3907),
  tsrange: type(3908, 3909),
  tstzrange: type(3910, 3911),
  daterange: type(3912, 3913),
  int8range: type(3926, 3927),
  jsonpath: type(4072, 4073),
  regnamespace: type(4089, 4090),
  regrole: type(4096, 4097),
  regcollation: type(4191, 4192),
  int4multirange: type(4451, 6150),
  nummultirange: type(4532, 6151),
  tsmultirange: type(4533, 6152),
  tstzmultirange: type(4534, 6153),
  datemultirange: type(4535, 6155),
  int8multirange: type(4536, 6157),
  pg_snapshot: type(5038, 5039),
  xid8: type(5069, 271),
};

/** The SQL names of types whose name in `pg_type` is another one. */
const ALIASES: Readonly<Record<string, string>> = {
  bigint: 'int8',
  smallint: 'int2',
  int: 'int4',
  integer: 'int4',
  boolean: 'bool',
  real: 'float4',
  'double precision': 'float8',
  decimal: 'numeric',
  character: 'bpchar',
  'character varying': 'varchar',
  'bit varying': 'varbit',
  'timestamp without time zone': 'timestamp',
  'timestamp with time zone': 'timestamptz',
  'time without time zone': 'time',
  'time with time zone': 'timetz',
};

/** A type by its name in any case, its SQL name, either behind `pg_catalog.`, or its OID. */
export function builtinType(name: string): BuiltinType | undefined {
  if (/^\d+$/.test(name)) return Object.values(BUILTIN_TYPES).find(({ oid }) => oid === Number(name));
  const plain = name
    .trim()
    .toLowerCase()
    .replace(/^pg_catalog\./, '')
    .replaceAll(/\s+/g, ' ');
  const known = Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : plain;
  return known !== undefined && Object.hasOwn(BUILTIN_TYPES, known) ? BUILTIN_TYPES[known] : undefined;
}

/** The type of the elements of an array, by the array's oid. */
export const ELEMENT_OIDS: ReadonlyMap<number, number> = new Map(
  Object.values(BUILTIN_TYPES).flatMap(({ oid, arrayOid }) =>
    arrayOid === undefined ? [] : [[arrayOid, oid]],
  ),
);

const { json, jsonb, record, cstring, void: nothing } = BUILTIN_TYPES;

/** Types of one value each. The text of a list would be a value of some of them, which was not meant. */
export const SINGLE_OIDS: ReadonlySet<number> = new Set(
  Object.values(BUILTIN_TYPES).flatMap((each) =>
    [json, jsonb, record, cstring, nothing].includes(each) ? [] : [each.oid],
  ),
);
