import { build, type Plugin } from 'esbuild'
import { chmod, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { codeCacheOf, loadBundle } from '../src/cli/bundle.ts'

/**
 * Makes what ships: one CommonJS bundle a role in dist/ (or the folder after --outdir), and the launcher. An ESM bundle would load all
 * of node:http and with it 16 MiB more; koffi is native, so it stays a package beside the bundles.
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const { values } = parseArgs({ options: { outdir: { type: 'string', default: join(root, 'dist') } } })
const dist = values.outdir
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }

/**
 * Parts of packages that nothing here calls, a quarter of the bundle: grpc-js reads .proto files for its channelz and ORCA services;
 * prom-client has metrics of its own choice, a push gateway and support for node:cluster. An empty module takes their place.
 */
const unused: Plugin = {
  name: 'unused',
  setup(bundling) {
    const parts = /^@grpc\/proto-loader$|^\.\/lib\/(defaultMetrics|pushgateway|cluster)$/
    bundling.onResolve({ filter: parts }, ({ path, importer }) =>
      /\/node_modules\/(@grpc\/grpc-js|prom-client)\//.test(importer) ? { path, namespace: 'unused' } : undefined,
    )
    bundling.onLoad({ filter: /./, namespace: 'unused' }, () => ({ contents: '' }))
  },
}

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
  plugins: [unused],
  // The text of the bundle stays in memory. Names are kept, and lines short, for stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 120,
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
const driver = join(dist, 'driver.cjs')
await writeFile(codeCacheOf(driver), loadBundle(driver).script.createCachedData())
for (const name of await readdir(dist)) {
  const { size } = await stat(join(dist, name))
  if (/\.(cjs|cache)$/.test(name)) process.stdout.write(`${join(dist, name)}  ${Math.round(size / 1024)} KiB\n`)
}
