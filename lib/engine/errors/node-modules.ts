// Modules of Node.js as they cost least at a start. An `import` of node:util reads all that it exports, and
// so loads what is never asked for: 4 ms on Node.js 24. The others most sessions never need:
// node:fs/promises alone brings eleven more.
export const { inspect, types } = process.getBuiltinModule('node:util');
export const files = (): typeof import('node:fs/promises') => process.getBuiltinModule('node:fs/promises');
export const network = (): typeof import('node:net') => process.getBuiltinModule('node:net');
export const encryption = (): typeof import('node:tls') => process.getBuiltinModule('node:tls');
