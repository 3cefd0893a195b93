/**
 * A type that every server has, by its OID and the OID of its array; both are fixed in the server's catalog.
 */
export interface BuiltinType {
  readonly oid: number;
  /** Undefined where there is no array, or one whose text has another separator than a comma (`box`). */
  readonly arrayOid?: number;
}

type BuiltinOids = readonly [oid: number, arrayOid?: number];

/** By the name in `pg_type`. */
const BUILTIN_TYPES: Readonly<Record<string, BuiltinOids>> = {
  pg_type: [71, 210],
  pg_attribute: [75, 270],
  pg_proc: [81, 272],
  pg_class: [83, 273],
  bool: [16, 1000],
  bytea: [17, 1001],
  char: [18, 1002],
  name: [19, 1003],
  int8: [20, 1016],
  int2: [21, 1005],
  int2vector: [22, 1006],
  int4: [23, 1007],
  regproc: [24, 1008],
  text: [25, 1009],
  oid: [26, 1028],
  tid: [27, 1010],
  xid: [28, 1011],
  cid: [29, 1012],
  oidvector: [30, 1013],
  json: [114, 199],
  xml: [142, 143],
  point: [600, 1017],
  lseg: [601, 1018],
  path: [602, 1019],
  box: [603],
  polygon: [604, 1027],
  line: [628, 629],
  cidr: [650, 651],
  float4: [700, 1021],
  float8: [701, 1022],
  circle: [718, 719],
  macaddr8: [774, 775],
  money: [790, 791],
  macaddr: [829, 1040],
  inet: [869, 1041],
  aclitem: [1033, 1034],
  bpchar: [1042, 1014],
  varchar: [1043, 1015],
  date: [1082, 1182],
  time: [1083, 1183],
  timestamp: [1114, 1115],
  timestamptz: [1184, 1185],
  interval: [1186, 1187],
  timetz: [1266, 1270],
  bit: [1560, 1561],
  varbit: [1562, 1563],
  numeric: [1700, 1231],
  refcursor: [1790, 2201],
  regprocedure: [2202, 2207],
  regoper: [2203, 2208],
  regoperator: [2204, 2209],
  regclass: [2205, 2210],
  regtype: [2206, 2211],
  record: [2249, 2287],
  cstring: [2275, 1263],
  void: [2278],
  uuid: [2950, 2951],
  txid_snapshot: [2970, 2949],
  pg_lsn: [3220, 3221],
  tsvector: [3614, 3643],
  tsquery: [3615, 3645],
  gtsvector: [3642, 3644],
  regconfig: [3734, 3735],
  regdictionary: [3769, 3770],
  jsonb: [3802, 3807],
  int4range: [3904, 3905],
  numrange: [3906, 3907],
  tsrange: [3908, 3909],
  tstzrange: [3910, 3911],
  daterange: [3912, 3913],
  int8range: [3926, 3927],
  jsonpath: [4072, 4073],
  regnamespace: [4089, 4090],
  regrole: [4096, 4097],
  regcollation: [4191, 4192],
  int4multirange: [4451, 6150],
  nummultirange: [4532, 6151],
  tsmultirange: [4533, 6152],
  tstzmultirange: [4534, 6153],
  datemultirange: [4535, 6155],
  int8multirange: [4536, 6157],
  pg_snapshot: [5038, 5039],
  xid8: [5069, 271],
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
  const [oid, arrayOid] = /^\d+$/.test(name) ? byOid(Number(name)) : byName(name);
  if (oid === undefined) return undefined;
  return arrayOid === undefined ? { oid } : { oid, arrayOid };
}

function byOid(wanted: number): BuiltinOids | readonly [] {
  return Object.values(BUILTIN_TYPES).find(([oid]) => oid === wanted) ?? [];
}

function byName(name: string): BuiltinOids | readonly [] {
  const plain = name
    .trim()
    .toLowerCase()
    .replace(/^pg_catalog\./, '')
    .replaceAll(/\s+/g, ' ');
  const known = Object.hasOwn(ALIASES, plain) ? ALIASES[plain] : plain;
  return (known !== undefined && Object.hasOwn(BUILTIN_TYPES, known) && BUILTIN_TYPES[known]) || [];
}

/** The type of the elements of an array, by the array's oid. */
export const ELEMENT_OIDS: ReadonlyMap<number, number> = elementOids();

/** Types of one value each. The text of a list would be a value of some of them, which was not meant. */
export const SINGLE_OIDS: ReadonlySet<number> = singleOids();

function elementOids(): Map<number, number> {
  const found = new Map<number, number>();
  for (const [oid, arrayOid] of Object.values(BUILTIN_TYPES))
    if (arrayOid !== undefined) found.set(arrayOid, oid);
  return found;
}

function singleOids(): Set<number> {
  const found = new Set<number>();
  const { json, jsonb, record, cstring, void: nothing } = BUILTIN_TYPES;
  const others = [json, jsonb, record, cstring, nothing];
  for (const type of Object.values(BUILTIN_TYPES)) if (!others.includes(type)) found.add(type[0]);
  return found;
}
