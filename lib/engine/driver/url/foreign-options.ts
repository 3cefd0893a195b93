/** Options of TypeORM, Sequelize, Prisma, Knex, `pg` and postgres.js that are no options here. */
const SENTENCES: readonly (readonly [names: string, sentence: string])[] = [
  [
    'host hostname hosts server port path socketPath user username pass database db connection connectionString connectionUri uri dsn datasources datasourceUrl datasource',
    "write it in the URL, postgresql://user:password@host:5432/database, or make that with DatabaseUrl.create({ drivername: 'postgresql', host, username, password, database })",
  ],
  [
    'type dialect dialectModule dialectModulePath client driver provider native adapter',
    'the URL says it: postgresql:// is the driver pg, postgresql+pglite:// is PGlite',
  ],
  ['url', 'the URL is the first argument: createAsyncEngine(url, options)'],
  [
    'max maxConnections max_connections maxPoolSize connectionLimit connection_limit',
    'write poolSize (connections that stay open) and maxOverflow (those above them)',
  ],
  ['min minConnections minPoolSize', 'write poolMinIdle'],
  ['idle idleTimeout idle_timeout idleTimeoutMillis maxIdleTime', 'write poolIdleTimeout, in ms'],
  [
    'acquire acquireTimeoutMillis acquireConnectionTimeout connectionTimeoutMillis connectionTimeout createTimeoutMillis connectTimeoutMS',
    'write poolTimeout (the wait for a connection of the pool) and connectTimeout (one attempt to connect), in ms',
  ],
  [
    'maxLifetime max_lifetime maxLifetimeSeconds maxAge maxUses evict reapIntervalMillis',
    'write poolRecycle, in ms: an older connection is replaced',
  ],
  ['query_timeout queryTimeout', 'write statementTimeout, in ms, or the timeout of a statement'],
  ['idle_in_transaction_session_timeout', 'write idleInTransactionTimeout, in ms'],
  ['maxQueryExecutionTime', 'write slowStatementThreshold, in ms'],
  ['fallback_application_name', 'write applicationName'],
  [
    'ssl sslmode tls dialectOptions',
    "write ?sslmode=verify-full&sslrootcert=… in the URL; options of Node's TLS go into connectArgs: { ssl: { … } }",
  ],
  [
    'keepAlive keepAliveInitialDelayMillis keep_alive client_encoding stream binary',
    "it is the driver's own: write it in connectArgs: { … }",
  ],
  ['extra', 'write what stands in it as options here'],
  ['replication', 'write replicas: { url: […] }; the URL of the engine is that of the primary'],
  ['prepare', 'write preparedStatementCacheSize: 0, or pgbouncer: true'],
  ['schema searchPath search_path currentSchema', "write settings: { search_path: 'NAME' }"],
  ['timezone timeZone', "write settings: { TimeZone: 'NAME' }"],
  [
    'log logging logQueryParameters benchmark debug asyncStackTraces errorFormat',
    'write echo: true for a line per statement, logger: … for where they go',
  ],
  ['onnotice onnotify', "use engine.on() or fromChannel() of 'nest-async-engine/rx'"],
  ['retry', 'write it for transactions: transactional: { retry: 2 }'],
  [
    'synchronize dropSchema sync entities subscribers models define autoLoadEntities autoLoadModels manualInitialization ' +
      'namingStrategy entityPrefix entitySkipConstructor migrationsRun migrationsTableName migrationsTransactionMode metadataTableName ' +
      'cache seeds useNullAsDefault wrapIdentifier postProcessResponse transform fetch_types publications quoteIdentifiers hooks omit',
    'it belongs to an ORM or a query builder: leave it there, and give that its connections by asPool(engine)',
  ],
];

/** What is written here in place of an option of another library, by its name. */
export function foreignOptions(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    SENTENCES.flatMap(([names, sentence]) => names.split(' ').map((name) => [name, sentence] as const)),
  );
}
