const SEARCH_PATH =
  "write options=-c%20search_path=NAME, or the engine's option settings: { search_path: 'NAME' }";
const POOL_SIZE = 'use the options poolSize and maxOverflow of the engine';
const STATEMENTS = "use the engine's option preparedStatementCacheSize";
const SOCKET_TIMEOUT = "use the engine's option socketTimeout, in milliseconds";
const POOL_TIMEOUT = "use the engine's option poolTimeout, in milliseconds";
const CONNECT_TIMEOUT = 'write connect_timeout, in seconds';
const RECYCLE = "use the engine's option poolRecycle";
const IDLE = "use the engine's option poolIdleTimeout, in milliseconds";
const APPLICATION = 'write application_name';
const LIBPQ_MODES = 'leave it out: sslmode has the meanings of libpq here';
const PROBES = 'leave it out: Node.js sets only when probes begin (keepalives_idle)';
const PASSWORD = "use the engine's option password, which may be an async function";
const CERTIFICATES = 'write sslcert and sslkey, the names of PEM files';
const NOT_FOR_NODE = 'leave it out: the driver pg has no such thing';

/** What to write in the place of parameters that libpq and other libraries have in their URLs. */
export const INSTEAD: ReadonlyMap<string, string> = new Map(
  Object.entries({
    // Prisma
    schema: SEARCH_PATH,
    connection_limit: POOL_SIZE,
    pool_timeout: POOL_TIMEOUT,
    socket_timeout: SOCKET_TIMEOUT,
    max_idle_connection_lifetime: IDLE,
    max_connection_lifetime: RECYCLE,
    sslaccept: 'write sslmode=verify-full (strict) or sslmode=require (accept_invalid_certs)',
    sslidentity: CERTIFICATES,
    statement_cache_size: STATEMENTS,
    // pg and the poolers' adapters over it
    uselibpqcompat: LIBPQ_MODES,
    max: POOL_SIZE,
    min: "use the engine's option poolMinIdle",
    idleTimeoutMillis: IDLE,
    connectionTimeoutMillis: "write connect_timeout, in seconds, or use the engine's option connectTimeout",
    query_timeout: "use the engine's option statementTimeout, in milliseconds",
    binary: NOT_FOR_NODE,
    encoding: 'write client_encoding',
    // SQLAlchemy and asyncpg
    pool_size: POOL_SIZE,
    max_overflow: POOL_SIZE,
    pool_recycle: RECYCLE,
    prepared_statement_cache_size: STATEMENTS,
    command_timeout: "use the engine's option statementTimeout, in milliseconds",
    // JDBC
    currentSchema: SEARCH_PATH,
    ApplicationName: APPLICATION,
    loginTimeout: CONNECT_TIMEOUT,
    connectTimeout: CONNECT_TIMEOUT,
    socketTimeout: SOCKET_TIMEOUT,
    targetServerType: 'write target_session_attrs',
    loadBalanceHosts: 'write load_balance_hosts=random',
    prepareThreshold: STATEMENTS,
    preparedStatementCacheQueries: STATEMENTS,
    reWriteBatchedInserts: 'leave it out: a list of parameters is one statement already',
    tcpKeepAlive: 'write keepalives',
    // pgx and others
    pool_max_conns: POOL_SIZE,
    pool_min_conns: "use the engine's option poolMinIdle",
    pool_max_conn_lifetime: RECYCLE,
    pool_max_conn_idle_time: IDLE,
    default_query_exec_mode: STATEMENTS,
    search_path: SEARCH_PATH,
    timezone: "use the engine's option settings: { TimeZone: 'NAME' }",
    // libpq
    hostaddr: 'write the address as the host',
    service: "write the service's parameters into the URL",
    servicefile: "write the service's parameters into the URL",
    passfile: PASSWORD,
    tcp_user_timeout: SOCKET_TIMEOUT,
    keepalives_interval: PROBES,
    keepalives_count: PROBES,
    sslcrldir: 'write sslcrl, the name of a PEM file',
    sslcompression: 'leave it out: TLS is not compressed',
    sslcertmode: 'write sslcert and sslkey, or leave them out',
    sslkeylogfile: "use Node.js's --tls-keylog",
    requiressl: 'write sslmode=require',
    requirepeer:
      'leave it out, and keep the folder of the socket to its owner: Node.js does not tell the peer',
    krbsrvname: NOT_FOR_NODE,
    gsslib: NOT_FOR_NODE,
    gssdelegation: NOT_FOR_NODE,
    replication: 'use a client of pg of your own',
    min_protocol_version: NOT_FOR_NODE,
    max_protocol_version: NOT_FOR_NODE,
    scram_client_key: PASSWORD,
    scram_server_key: PASSWORD,
  }),
);

/** Variables that libpq follows and that must not be dropped in silence, each with what to do. */
export const REFUSED_VARIABLES: Readonly<Record<string, string>> = {
  PGSERVICE: "Write the service's parameters into the URL, and unset the variable for this process.",
  PGREQUIRESSL: 'Set PGSSLMODE=require.',
  PGSSLCERTMODE: 'Unset it, and set PGSSLCERT and PGSSLKEY where a certificate is to be sent.',
  PGREQUIREPEER: 'Unset it, and keep the folder of the socket to its owner.',
};
