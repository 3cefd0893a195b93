// Modules of Node.js that most sessions never need. An `import` would load them at every start: `fs/promises`
// alone brings eleven others on Node.js 24.
export const files = (): typeof import('node:fs/promises') => process.getBuiltinModule('node:fs/promises');
export const network = (): typeof import('node:net') => process.getBuiltinModule('node:net');
