import { stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { currentGround, groundCommand, groundsFor, prepareGround, runOnGround } from './ground.ts'

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

test('only root is offered a mount namespace without a user namespace', () => {
  expect(groundsFor(0)).toEqual(['mount-namespace', 'user-namespace', 'private-folder'])
  expect(groundsFor(1000)).toEqual(['user-namespace', 'private-folder'])
})

test('a private folder needs no other command', () => {
  expect(groundCommand({ ground: 'private-folder', root: '/r' }, ['node', 'x'])).toEqual(['node', 'x'])
})

test('a namespace is entered by unshare, and the command takes its place', () => {
  const command = groundCommand({ ground: 'user-namespace', root: '/r' }, ['node', 'x y'])
  expect(command.slice(0, 4)).toEqual(['unshare', '--user', '--map-root-user', '--mount'])
  expect(command.slice(-3)).toEqual(['/r', 'node', 'x y'])
})

test('the outer process stands on no ground, and no folder but one of ours is taken for it', () => {
  const ours = { ground: 'private-folder', root: '/tmp/podpass-try-abc' }
  const named = (text: string) => ({ PODPASS_TRY_GROUND: text })
  expect(currentGround(named(`${ours.ground}:${ours.root}`), true)).toEqual(ours)
  expect(currentGround(named(`${ours.ground}:${ours.root}`), false)).toBeUndefined()
  for (const text of ['', 'private-folder', 'private-folder:', 'private-folder:/home/me', `moon:${ours.root}`]) {
    expect(currentGround(named(text), true)).toBeUndefined()
  }
  expect(currentGround({}, true)).toBeUndefined()
})

test('the best ground that works is found, and in a namespace the folder is memory of its own', async () => {
  const prepared = await prepareGround(groundsFor(process.geteuid?.()))
  const script = `
    test "$PODPASS_TRY_GROUND" = "$0:$1" || exit 1
    test "$0" = private-folder && exit 7
    grep -q " $1 .* tmpfs " /proc/self/mountinfo && exit 7
    exit 2`
  expect(await runOnGround(prepared, ['sh', '-c', script, prepared.ground, prepared.root])).toBe(7)
  expect(await exists(prepared.root)).toBe(false)
})

test('the exit code comes through, and the folder is gone however the command ended', async () => {
  const prepared = await prepareGround(['private-folder'])
  expect(await exists(prepared.root)).toBe(true)
  expect(await runOnGround(prepared, ['sh', '-c', 'touch "$0/x"; exit 3', prepared.root])).toBe(3)
  expect(await exists(prepared.root)).toBe(false)
  const again = await prepareGround(['private-folder'])
  expect(await runOnGround(again, ['sh', '-c', 'kill -9 $$'])).toBe('SIGKILL')
  expect(await exists(again.root)).toBe(false)
})

test('a command that does not exist leaves no folder', async () => {
  const prepared = await prepareGround(['private-folder'])
  await expect(runOnGround(prepared, ['/does/not/exist'])).rejects.toThrow('ENOENT')
  expect(await exists(prepared.root)).toBe(false)
})
