import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseMountInfo } from './mount-info.ts'
import { hasLabels, isSelinuxContext, selinuxContextIn, tmpfsAttempts } from './tmpfs-options.ts'

const size = 4096
const context = 'system_u:object_r:container_file_t:s0:c12,c345'
const byDefault = 'context="system_u:object_r:container_file_t:s0"'

function attempts(selinuxContext: string | undefined, noswap: boolean, labels: boolean): string[] {
  const options = selinuxContext === undefined ? { size } : { size, selinuxContext }
  return tmpfsAttempts(options, { noswap, labels }).map(({ data }) => data)
}

describe('the options of a volume’s memory', () => {
  test('without SELinux are its size and mode, out of swap where the kernel takes that', () => {
    expect(attempts(undefined, true, false)).toEqual(['size=4096,mode=0700,noswap', 'size=4096,mode=0700'])
    expect(attempts(undefined, false, false)).toEqual(['size=4096,mode=0700'])
  })

  test('have the context that the kubelet gives, and are never tried without it', () => {
    const given = `size=4096,mode=0700,context="${context}"`
    expect(attempts(context, true, true)).toEqual([`${given},noswap`, given])
    expect(attempts(context, false, false)).toEqual([given])
  })

  test('have the type of container files where SELinux is on and the kubelet gives none, unless the policy does not know that type', () => {
    expect(attempts(undefined, true, true)).toEqual([
      `size=4096,mode=0700,${byDefault},noswap`,
      `size=4096,mode=0700,${byDefault}`,
      'size=4096,mode=0700,noswap',
      'size=4096,mode=0700',
    ])
    expect(tmpfsAttempts({ size }, { noswap: false, labels: true }).map(({ labelled }) => labelled)).toEqual([
      true,
      false,
    ])
  })
})

describe('the context among mount flags', () => {
  test.each([
    [[], undefined],
    [['ro', 'nosuid'], undefined],
    [[`context="${context}"`], context],
    [['ro', `context=${context}`], context],
    [['rootcontext="a:b:c"'], undefined],
  ])('of %j is %s', (flags, found) => {
    expect(selinuxContextIn(flags)).toBe(found)
  })

  test.each(['system_u:object_r:container_file_t:s0', context, 'user_u:role_r:type_t', 'a:b:c:s0-s0:c0.c1023'])(
    '%s can be one',
    (text) => {
      expect(isSelinuxContext(text)).toBe(true)
    },
  )

  test.each(['', 'container_file_t', 'a:b', 'a:b:c"', 'a:b:c,size=1', 'a:b:c:s0"', 'a:b:c:s0 x', 'a:b:c\0', ':b:c:d'])(
    '%j cannot be one',
    (text) => {
      expect(isSelinuxContext(text)).toBe(false)
    },
  )

  test('that can be one changes no other option, whatever a pod’s author wrote', () => {
    const written = fc.string({ unit: fc.constantFrom('s', '0', ':', ',', 'c', '.', '"', '=', '-', '\0', '\n', '\\') })
    fc.assert(
      fc.property(written, fc.nat(context.length), (text, at) => {
        const whole = context.slice(0, at) + text + context.slice(at)
        const [data = ''] = attempts(whole, false, false)
        const isContained = /^size=4096,mode=0700,context="[^"\0\n\\]*"$/.test(data)
        expect(isContained || !isSelinuxContext(whole)).toBe(true)
      }),
    )
  })
})

test('SELinux is on where a file system says that it has labels', () => {
  const line = (options: string): string => `22 1 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs ${options}`
  expect(hasLabels(parseMountInfo(line('rw,seclabel')))).toBe(true)
  expect(hasLabels(parseMountInfo(line('rw')))).toBe(false)
})
