export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/dist/test/**/*.test.js'],
  transform: {},
  globalSetup: '<rootDir>/dist/test/global-setup.js',
};
