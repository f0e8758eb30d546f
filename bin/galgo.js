#!/usr/bin/env node
// The `galgo` command. In a checkout it runs src/cli/main.ts on a Node.js that understands TypeScript, in an installed package
// what that was compiled to. Plain JavaScript for Node 20.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { join } from 'node:path'
import { become, compileCache, RUNTIME_HELP, root, runtime, stripsTypes } from '../scripts/runtime.mjs'

const source = join(root, 'src', 'cli', 'main.ts')
const packaged = !existsSync(source)
const main = packaged ? join(root, 'build', 'package', 'src', 'cli', 'main.js') : source

if (packaged || stripsTypes()) {
  process.argv[1] = main
  // Not in Node 20.
  module.enableCompileCache?.(compileCache)
  // For the nodes and workers that it starts.
  process.env.NODE_COMPILE_CACHE = compileCache
  await import(main)
} else {
  const node = runtime()
  if (node === undefined) {
    console.error(`galgo: ${RUNTIME_HELP}`)
    process.exitCode = 1
  } else {
    become(node, [main, ...process.argv.slice(2)])
  }
}
