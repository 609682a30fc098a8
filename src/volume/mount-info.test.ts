import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { mountAt, mountOf, parseMountInfo, readMountInfo } from './mount-info.ts'

test('a line has its parts', () => {
  const line =
    '148 127 0:47 /data /var/lib/kubelet/pods/u/mount ro,nosuid,relatime shared:35 master:2 - tmpfs podpass rw,size=4096k,noswap'
  expect(parseMountInfo(`${line}\n`)).toEqual([
    {
      device: '0:47',
      root: '/data',
      mountPoint: '/var/lib/kubelet/pods/u/mount',
      options: ['ro', 'nosuid', 'relatime'],
      shared: true,
      type: 'tmpfs',
      superOptions: ['rw', 'size=4096k', 'noswap'],
    },
  ])
})

test.each([
  ['', false],
  ['shared:1 ', true],
  ['master:1 ', false],
  ['master:1 shared:2 ', true],
  ['unbindable ', false],
  ['propagate_from:2 ', false],
])('with the optional fields %j a mount is shared: %j', (fields, shared) => {
  expect(parseMountInfo(`1 2 0:1 / /a rw ${fields}- ext4 /dev/vda rw`)[0]?.shared).toBe(shared)
})

test.each([
  [String.raw`/a\040b`, '/a b'],
  [String.raw`/a\011b`, '/a\tb'],
  [String.raw`/a\012b`, '/a\nb'],
  [String.raw`/a\134b`, '/a\\b'],
  [String.raw`/a\134040b`, '/a\\040b'],
  [String.raw`/\040-\040`, '/ - '],
  [String.raw`/a\08b\x`, String.raw`/a\08b\x`],
  [String.raw`/\303\251`, '/é'],
  ['/ключ', '/ключ'],
])('the path %j is %j', (escaped, path) => {
  const entry = parseMountInfo(`1 2 0:1 ${escaped} ${escaped} rw - tmpfs x rw`)[0]
  expect(entry?.mountPoint).toBe(path)
  expect(entry?.root).toBe(path)
})

test.each(['', '\n\n', 'nonsense', '1 2 0:1 / /a rw', '1 2 0:1 - tmpfs x rw', ' - '])('%j has no mounts', (text) => {
  expect(parseMountInfo(text)).toEqual([])
})

test('a line that says less than usual does not hide the next', () => {
  const entries = parseMountInfo('1 2 0:1 / /a rw - tmpfs\nodd\n1 2 0:1 / /b rw - tmpfs x rw\n')
  expect(entries.map(({ mountPoint }) => mountPoint)).toEqual(['/a', '/b'])
})

/** A path as the kernel writes it (seq_path with the escapes of show_mountinfo). */
function escapeAsKernel(path: string): string {
  return path.replaceAll(/[ \t\n\\]/g, (odd) => `\\${odd.charCodeAt(0).toString(8).padStart(3, '0')}`)
}

test('any path comes back as it was mounted', () => {
  const pieces = fc.constantFrom('/', 'a', ' ', '\t', '\n', '\\', '040', '-', ' - ', 'é', '🙂', ',', ':', '#')
  const paths = fc.array(pieces, { minLength: 1, maxLength: 12 }).map((found) => `/${found.join('')}`)
  fc.assert(
    fc.property(fc.array(paths, { maxLength: 5 }), (mountPoints) => {
      const text = mountPoints.map((path) => `1 2 0:1 / ${escapeAsKernel(path)} rw - tmpfs x rw\n`).join('')
      expect(parseMountInfo(text).map(({ mountPoint }) => mountPoint)).toEqual(mountPoints)
    }),
  )
})

const stacked = parseMountInfo(
  [
    '1 1 8:1 / / rw shared:1 - ext4 /dev/vda rw',
    '2 1 0:1 / /var/lib rw - tmpfs low rw',
    '3 2 0:2 / /var/lib/kubelet rw shared:3 - tmpfs first rw',
    '4 3 0:3 / /var/lib/kubelet rw - xfs second rw',
  ].join('\n'),
)

test('of several mounts on one path the last one is seen', () => {
  expect(mountAt(stacked, '/var/lib/kubelet')?.type).toBe('xfs')
  expect(mountAt(stacked, '/var/lib/kube')).toBeUndefined()
  expect(mountAt(stacked, '/var')).toBeUndefined()
})

test.each([
  ['/', '/'],
  ['/etc', '/'],
  ['/var/lib', '/var/lib'],
  ['/var/library', '/'],
  ['/var/lib/kubelet/pods/x', '/var/lib/kubelet'],
  ['/var/lib/kubelets', '/var/lib'],
])('%j lies in the mount %j', (path, mountPoint) => {
  expect(mountOf(stacked, path)?.mountPoint).toBe(mountPoint)
})

test('of several mounts on one path the last one holds what is below', () => {
  expect(mountOf(stacked, '/var/lib/kubelet/pods')?.device).toBe('0:3')
})

test('without any mount a path lies in none', () => {
  expect(mountOf([], '/a')).toBeUndefined()
})

test('the mounts of this machine are read, the root among them', async () => {
  expect(mountAt(await readMountInfo(), '/')).toBeDefined()
})
