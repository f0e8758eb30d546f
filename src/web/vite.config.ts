// Builds the pages as plain files: one script and one style sheet each, which work from any folder, also opened as a file.
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  root: here('simulator'),
  base: './',
  publicDir: false,
  build: {
    outDir: here('../../build/simulator'),
    emptyOutDir: true,
    target: 'es2024',
    modulePreload: false,
    cssCodeSplit: false,
    license: { fileName: 'licenses.md' },
    rolldownOptions: { output: { format: 'iife', entryFileNames: 'assets/[name]-[hash].js' } },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [plainScript()],
})

/** Modules are not loaded from files: a script that is one piece needs to be none. */
function plainScript(): Plugin {
  return {
    name: 'plain-script',
    transformIndexHtml: {
      order: 'post',
      handler: (html) => html.replaceAll(' type="module"', ' defer').replaceAll(' crossorigin', ''),
    },
  }
}
