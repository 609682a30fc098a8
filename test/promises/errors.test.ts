import { readdir } from 'node:fs/promises'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { IssuerRefusedError, IssuerUnavailableError, RequestDeniedError } from '../../src/issuer/errors.ts'
import { TestNode } from '../support/node.ts'

// What the driver promises of checks and errors (docs/promises.md, 12 and 13), on its socket.

describe('promise 12, everything is checked up front', () => {
  test('all errors of a volume come in one answer, before any key or request exists', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume({
      'csi.cert-manager.io/issuer-name': '',
      'csi.cert-manager.io/duration': '5d',
      'csi.cert-manager.io/is-ca': 'yes',
      'csi.cert-manager.io/key-usages': 'sever auth',
      'csi.cert-manager.io/key-size': '257',
      'csi.cert-manager.io/fs-group': '-1',
      'csi.cert-manager.io/ip-sans': '1.2.3',
      'csi.cert-manager.io/common-name': '${POD_NAMES}',
      'csi.cert-manager.io/ca-file': '../ca.crt',
    })
    const details = await node.publish(volume).then(
      () => '',
      (error: { code: number; details: string }) => {
        expect(error.code).toBe(status.INVALID_ARGUMENT)
        return error.details
      },
    )
    for (const attribute of [
      'issuer-name',
      'duration',
      'is-ca',
      'key-usages',
      'key-size',
      'fs-group',
      'ip-sans',
      'common-name',
      'ca-file',
    ]) {
      expect(details).toContain(`csi.cert-manager.io/${attribute}: `)
    }
    expect(details).toContain('did you mean "server auth"')
    expect(details).toContain('did you mean POD_NAME')
    expect(node.issuer.submissions).toBe(0)
    expect(await readdir(node.volumesFolder)).toEqual([])
  })

  test('an unknown attribute is told with what was meant', async () => {
    await using node = await TestNode.start()
    await node.publish(await node.volume({ 'csi.cert-manager.io/dns-name': 'a.example' }))
    expect(node.events).toEqual([
      expect.objectContaining({
        reason: 'VolumeAttribute',
        message: expect.stringContaining('did you mean csi.cert-manager.io/dns-names?') as string,
      }),
    ])
  })
})

describe('promise 13, errors are actionable', () => {
  /** The answer of a publish that fails. */
  async function answerOf(node: TestNode, attributes: Readonly<Record<string, string>> = {}) {
    const error: unknown = await node.publish(await node.volume(attributes)).catch((reason: unknown) => reason)
    return error as { readonly code: status; readonly details: string }
  }

  test('a denial is FAILED_PRECONDITION, names the request and says what the issuer said; the same stands as an event on the pod', async () => {
    await using node = await TestNode.start()
    node.issuer.script = { wait: ({ name }) => new RequestDeniedError(name, 'not on my watch') }
    const { code, details } = await answerOf(node)
    expect(code).toBe(status.FAILED_PRECONDITION)
    expect(details).toBe(`local request ${node.issuer.requests[0]?.id} was denied: not on my watch`)
    expect(node.events).toEqual([
      { pod: 'pod-0', type: 'Warning', reason: 'CertificateRequestFailed', message: details },
    ])
  })

  test('a wait is UNAVAILABLE, names the request and its state, and says that nothing has to be done; the same as an event', async () => {
    await using node = await TestNode.start({ publishTimeout: 300 })
    node.issuer.script = 'hold'
    const { code, details } = await answerOf(node)
    expect(code).toBe(status.UNAVAILABLE)
    expect(details).toMatch(
      /local request [0-9a-f]{32}: held by the test\. The request is kept; the next attempt takes its answer$/,
    )
    expect(node.events).toEqual([{ pod: 'pod-0', type: 'Warning', reason: 'CertificatePending', message: details }])
  })

  test.each([
    ['cannot be reached', new IssuerUnavailableError('the API server is away')],
    ['refuses the driver', new IssuerRefusedError('certificaterequests is forbidden')],
  ])('an issuer that %s is UNAVAILABLE, with its own words, also as an event', async (_what, error) => {
    await using node = await TestNode.start({ publishTimeout: 300 })
    node.issuer.script = { submit: () => error }
    const { code, details } = await answerOf(node)
    expect(code).toBe(status.UNAVAILABLE)
    expect(details).toContain(error.message)
    expect(node.told('CertificateRequestFailed')[0]?.message).toBe(error.message)
  })

  test('a call that no kubelet makes is INVALID_ARGUMENT and names the field', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    for (const [wrong, field] of [
      [{ ...volume, id: '' }, 'volume_id'],
      [{ ...volume, id: '../x' }, 'volume_id'],
      [{ ...volume, target: '' }, 'target_path'],
      [{ ...volume, target: 'relative' }, 'target_path'],
      [{ ...volume, target: `${volume.target}/../../x` }, 'target_path'],
    ] as const) {
      await expect(node.publish(wrong)).rejects.toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining(field) as string,
      })
    }
    expect(node.issuer.submissions).toBe(0)
  })

  test('a second target of an inline volume is FAILED_PRECONDITION, and the first one stays', async () => {
    await using node = await TestNode.start()
    const volume = await node.volume()
    await node.publish(volume)
    await expect(node.publish({ ...volume, target: `${volume.target}2` })).rejects.toMatchObject({
      code: status.FAILED_PRECONDITION,
      details: expect.stringContaining(volume.target) as string,
    })
    expect(await node.read(volume, 'tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})
