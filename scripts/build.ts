import { build } from 'esbuild'
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

/**
 * Makes what ships: one CommonJS bundle a role in dist/, and the launcher. An ESM bundle would load all of node:http and with it
 * 16 MiB more; koffi is native, so it stays a package beside the bundles.
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }

await rm(dist, { recursive: true, force: true })
await build({
  entryPoints: {
    podpass: join(root, 'src/cli/launcher.ts'),
    driver: join(root, 'src/cli/driver-main.ts'),
    main: join(root, 'src/cli/main.ts'),
  },
  outdir: dist,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node26',
  external: ['koffi'],
  minifySyntax: true,
  keepNames: false,
  legalComments: 'linked',
  define: { 'import.meta.url': 'importMetaUrl', podpassVersion: JSON.stringify(version) },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
})
const launcher = join(dist, 'podpass.cjs')
await writeFile(launcher, `#!/usr/bin/env node\n${await readFile(launcher, 'utf8')}`)
await chmod(launcher, 0o755)
// Node would take a .cjs beside "type": "module" for what it is; the file is for tools that look at folders.
await writeFile(join(dist, 'package.json'), '{ "type": "commonjs" }\n')
for (const name of ['podpass', 'driver', 'main']) {
  const { size } = await stat(join(dist, `${name}.cjs`))
  process.stdout.write(`dist/${name}.cjs  ${Math.round(size / 1024)} KiB\n`)
}
