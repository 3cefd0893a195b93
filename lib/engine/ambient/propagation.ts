/** How a method relates to the transaction around it; the semantics are Spring's, the default is `nested`. */
export type Propagation =
  'required' | 'nested' | 'requires-new' | 'supports' | 'not-supported' | 'mandatory' | 'never';

/**
 * `begin`: a root transaction. `join`: take part in the active one. `nest`: a savepoint in it. `suspend`: set
 * it aside and run without. `plain`: there is none and none is begun. `refuse`: `PropagationError`. A `begin`
 * beside an active one sets it aside and takes another connection.
 */
export type PropagationAction = 'begin' | 'join' | 'nest' | 'suspend' | 'plain' | 'refuse';

export const PROPAGATION: Readonly<
  Record<Propagation, { readonly none: PropagationAction; readonly active: PropagationAction }>
> = {
  required: { none: 'begin', active: 'join' },
  nested: { none: 'begin', active: 'nest' },
  'requires-new': { none: 'begin', active: 'begin' },
  supports: { none: 'plain', active: 'join' },
  'not-supported': { none: 'plain', active: 'suspend' },
  mandatory: { none: 'refuse', active: 'join' },
  never: { none: 'plain', active: 'refuse' },
};
