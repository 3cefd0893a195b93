export { shareTestServer as default } from 'nest-async-engine/testing';
