import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './command.ts'
import type { Image } from './image.ts'

const project = join(import.meta.dirname, '../..')

/**
 * An image that runs a program with this Node, which it holds with the libraries that Node is linked with.
 *
 * @param program - its path in the image
 * @param files - as of any image
 */
export async function nodeImage(
  name: string,
  program: string,
  files: Readonly<Record<string, string>>,
): Promise<Image> {
  const node = '/usr/local/bin/node'
  const libraries = (await run('ldd', [process.execPath])).matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)
  const linked = [...libraries].map(([, library = '']) => [library, library])
  const all = { ...(Object.fromEntries(linked) as Record<string, string>), [node]: process.execPath, ...files }
  return { name, entrypoint: [node, program], files: all }
}

/** An image of what ships: the bundles in dist/ and koffi beside them. */
export async function podpassImage(name: string): Promise<Image> {
  const files: Record<string, string> = {}
  for (const folder of ['dist', 'node_modules/koffi', `node_modules/@koromix/koffi-linux-${process.arch}`]) {
    for (const entry of await readdir(join(project, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.parentPath.includes('/koffi/vendor')) continue
      const path = join(entry.parentPath, entry.name)
      files[path.replace(project, '/podpass')] = path
    }
  }
  return nodeImage(name, '/podpass/dist/podpass.cjs', files)
}
