/** In what a session differs from one over a socket to a server. */
export interface SessionTraits {
  /** What the user of `rawConnection()` gets. Default: the client. */
  readonly driverConnection?: unknown;
  /** False: the server can't be asked to cancel; what runs ends by itself. Default true. */
  readonly takesCancel?: boolean;
  /** True: somebody else has connected the client. Default false. */
  readonly isConnected?: boolean;
}
