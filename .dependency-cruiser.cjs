// The layer rules: imports point one way.
//   native ← server; the pure rooms import nothing of node:* and nothing of the server;
//   the simulator imports them and nothing imports it, except chaos/ its checkers; nothing imports chaos.
const PURE = '^(consensus|storage|src/state|src/protocol)/'

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'pure-rooms-know-no-node',
      comment: 'The pure rooms also run in the simulator and in a browser: the world reaches them through ports.',
      severity: 'error',
      from: { path: `${PURE}|^simulator/`, pathNot: '^simulator/(cli|cli-[a-z]+|fleet|fleet-worker)\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pure-rooms-import-only-pure-rooms',
      severity: 'error',
      from: { path: PURE },
      to: { path: '^(native|simulator|test|src/(server|client|cli|web))/|^src/index\\.ts$' },
    },
    {
      name: 'only-snapshots-use-a-package',
      comment: 'One place owns msgpackr; nothing else in the pure rooms needs a dependency.',
      severity: 'error',
      from: { path: PURE, pathNot: '^src/state/encode\\.ts$' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'nothing-imports-the-simulator',
      comment: 'Except the command line, which loads simulator/cli.ts only when asked to.',
      severity: 'error',
      from: { pathNot: '^(simulator|chaos|test|src/cli|src/web)/' },
      to: { path: '^simulator/' },
    },
    {
      name: 'nothing-imports-chaos',
      comment: 'Except the command line, which loads chaos/cli.ts only when asked to.',
      severity: 'error',
      from: { pathNot: '^(chaos|test|src/cli)/' },
      to: { path: '^chaos/' },
    },
    {
      name: 'chaos-stays-outside-of-the-nodes',
      comment:
        'It meets them as processes, files and bytes on sockets; the checkers and the source of chance it shares.',
      severity: 'error',
      from: { path: '^chaos/' },
      to: {
        path: '^(consensus|storage|native|test|simulator|src)/',
        pathNot: '^simulator/(checkers/(log|consumer)-history|random)|^src/(index|client/|protocol/|cli/)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'simulator-imports-only-pure-rooms',
      comment: 'Its command lines read flags as all others do.',
      severity: 'error',
      from: { path: '^simulator/', pathNot: '^simulator/(cli|cli-flags|explore/cli)\\.ts$' },
      to: { path: '^(native|test|src/(server|client|cli))/' },
    },
    {
      name: 'command-lines-of-the-simulator-import-no-more-than-flags',
      severity: 'error',
      from: { path: '^simulator/(cli|cli-flags|explore/cli)\\.ts$' },
      to: { path: '^(native|test|src/(server|client|cli))/', pathNot: '^src/cli/(values|own-flags)\\.ts$' },
    },
    {
      name: 'native-stands-alone',
      severity: 'error',
      from: { path: '^native/' },
      to: { path: '^(consensus|storage|simulator|src|test)/', pathNot: '^src/protocol/checksum' },
    },
    {
      name: 'only-the-server-uses-native',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/server/' },
      to: { path: '^native/|^io-uring-napi' },
    },
    {
      name: 'the-client-is-pure-typescript',
      comment: 'The SDK knows the protocol, nothing of the server; Node stays behind its transport.',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^(consensus|storage|native|src/(server|state|cli))/' },
    },
    {
      name: 'the-client-runs-in-a-browser',
      comment: 'Only what is for Node alone says so in its name, and nothing else needs it.',
      severity: 'error',
      from: { path: '^src/(client/|names|browser)', pathNot: '^src/client/node-' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'the-browser-entry-reaches-nothing-of-node',
      severity: 'error',
      from: { path: '^src/browser' },
      to: { path: '^src/client/node-', reachable: true },
    },
    {
      name: 'the-server-knows-no-command-line',
      severity: 'error',
      from: { path: '^src/(server|client)/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'pages-know-no-node',
      comment: 'They run in a browser; what builds them may know Node.',
      severity: 'error',
      from: { path: '^src/web/', pathNot: '^src/web/vite\\.config\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'pages-import-the-simulator-and-pure-rooms',
      severity: 'error',
      from: { path: '^src/web/' },
      to: { path: '^(native|test|src/(server|client|cli))/|^src/index\\.ts$' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'nothing-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(build|prebuilds|node_modules/\\.bin)/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.tsx', '.mjs', '.js'],
    },
  },
}
