import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ManualClock } from '../../kubernetes/fixtures/manual-clock.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { testAuthority } from '../../x509/test-pki.ts'
import { type ConnectionOptions, VaultConnection, VaultConnectionError, VaultRedirectError } from './connection.ts'
import { type Fault, ScriptedVault } from './fixtures/scripted-vault.ts'

let vault: ScriptedVault
const connections: VaultConnection[] = []
const never = new AbortController().signal

beforeEach(async () => {
  vault = await ScriptedVault.start()
})

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.close()
  await vault.close()
})

function connect(changes: Partial<ConnectionOptions> = {}): VaultConnection {
  const { address, ca } = vault
  const connection = new VaultConnection({
    address,
    ca,
    redirects: [],
    timeout: 30_000,
    clock: systemClock,
    ...changes,
  })
  connections.push(connection)
  return connection
}

const login = { path: 'auth/kubernetes/login', body: { jwt: 'pod-token' }, secrets: ['pod-token'] }
const revoke = { path: 'auth/token/revoke-self', token: 'vault-token', body: {} }

/** A clock on which whatever is waited for comes at once, and which remembers how long that would have been. */
function quickClock(waits: number[]): Clock {
  let now = Date.now()
  return {
    now: () => now,
    timer(delay, fire, isAwaited) {
      if (isAwaited !== true) return systemClock.timer(delay, fire)
      waits.push(delay)
      return systemClock.timer(0, () => {
        now += delay
        fire()
      })
    },
  }
}

test("a call carries the token and the namespace, and its answer comes with Vault's status and words", async () => {
  vault.fail('revoke-self', { status: 400, errors: ['one', '1 error occurred:\n\t* two\n\n'] })
  const answer = await connect({ namespace: 'team' }).call(revoke, never)
  expect(answer).toMatchObject({ status: 400, errors: 'one; two' })
  expect(vault.calls[0]).toMatchObject({ path: revoke.path, token: 'vault-token' })
  expect(vault.calls[0]?.headers).toMatchObject({ 'x-vault-namespace': 'team', 'x-vault-request': 'true' })
})

test('no token is in an error, even where Vault repeats it', async () => {
  vault.fail('login', { status: 403, errors: ['no such token pod-token'] })
  const { errors } = await connect().call(login, never)
  expect(errors).toBe('no such token …')
})

test('a server whose certificate another authority signed gets no token', async () => {
  const ca = testAuthority('other', { now: Date.now() - 3600_000 }).certificate.pem
  await expect(connect({ ca }).call(login, never)).rejects.toThrow(/certificate.*check its ca and serverName/)
  expect(vault.calls).toEqual([])
})

test("the name in the server's certificate may be given", async () => {
  expect((await connect({ serverName: 'localhost' }).call(login, never)).status).toBe(200)
  await expect(connect({ serverName: 'other' }).call(login, never)).rejects.toThrow('check its ca and serverName')
})

describe('429', () => {
  const tooMany: Fault = { status: 429, errors: ['rate limit quota exceeded'], headers: { 'retry-after': '7' } }

  test('is waited for as long as Vault says, and the call is made again', async () => {
    const waits: number[] = []
    vault.fail('login', tooMany)
    expect((await connect({ clock: quickClock(waits) }).call(login, never)).status).toBe(200)
    expect(waits).toEqual([7000])
    expect(vault.calls).toHaveLength(2)
  })

  test('holds other calls back as well', async () => {
    const waits: number[] = []
    vault.fail('login', tooMany, tooMany, tooMany)
    const connection = connect({ clock: quickClock(waits) })
    expect((await connection.call(login, never)).status).toBe(429)
    await connection.call(revoke, never)
    expect(waits).toEqual([7000, 7000, 7000])
  })

  test('with a date, or with nothing, is understood too', async () => {
    const waits: number[] = []
    const date = new Date(Date.now() + 10_000).toUTCString()
    vault.fail('login', { status: 429, headers: { 'retry-after': date } }, { status: 429 })
    await connect({ clock: quickClock(waits) }).call(login, never)
    expect(waits[0]).toBeGreaterThan(5000)
    expect(waits[0]).toBeLessThanOrEqual(10_000)
    expect(waits[1]).toBeGreaterThan(0)
    expect(waits[1]).toBeLessThanOrEqual(1000)
  })

  test("for longer than a minute is left to the volume's own attempts", async () => {
    const waits: number[] = []
    vault.fail('login', { status: 429, headers: { 'retry-after': '3600' } })
    expect((await connect({ clock: quickClock(waits) }).call(login, never)).status).toBe(429)
    expect(waits).toEqual([])
  })

  test('can be given up', async () => {
    vault.fail('login', tooMany)
    const giving = new AbortController()
    const clock: Clock = {
      now: () => systemClock.now(),
      timer(delay, fire, isAwaited) {
        if (isAwaited === true) queueMicrotask(() => giving.abort(new Error('given up')))
        return systemClock.timer(delay, fire)
      },
    }
    await expect(connect({ clock }).call(login, giving.signal)).rejects.toThrow('given up')
    expect(vault.calls).toHaveLength(1)
  })
})

describe('a redirect', () => {
  test('to a member of the cluster that is configured is followed, body and token included', async () => {
    // The other member is the same server by its other name, as both have to show certificates of one authority.
    const other = vault.address.replace('127.0.0.1', 'localhost')
    vault.fail('revoke-self', { status: 307, headers: { location: `${other}/v1/auth/token/revoke-self` } })
    expect((await connect({ redirects: [other] }).call(revoke, never)).status).toBe(204)
    expect(vault.calls.map(({ token, headers }) => [token, headers.host])).toEqual([
      ['vault-token', new URL(vault.address).host],
      ['vault-token', new URL(other).host],
    ])
  })

  test('to any other host is refused, and that host hears nothing', async () => {
    await using foreign = await ScriptedVault.start()
    vault.fail('login', { status: 307, headers: { location: `${foreign.address}/v1/auth/kubernetes/login` } })
    const call = connect().call(login, never)
    await expect(call).rejects.toThrow(VaultRedirectError)
    await expect(call).rejects.toMatchObject({ origin: foreign.address })
    expect(foreign.calls).toEqual([])
  })

  test('to the same host without TLS is refused', async () => {
    const location = `${vault.address.replace('https:', 'http:')}/v1/auth/kubernetes/login`
    vault.fail('login', { status: 307, headers: { location } })
    await expect(connect().call(login, never)).rejects.toThrow(VaultRedirectError)
  })

  test('in a circle ends', async () => {
    const circle: Fault = { status: 307, headers: { location: '/v1/auth/kubernetes/login' } }
    vault.fail('login', ...Array.from({ length: 10 }, () => circle))
    await expect(connect().call(login, never)).rejects.toThrow('in a circle')
  })
})

describe('an answer that does not come whole', () => {
  const cuts: readonly [string, string, Fault][] = [
    ['a connection that ends before the answer', 'socket hang up', (response) => void response.destroy()],
    [
      'an answer that is cut in the middle',
      'aborted',
      (response) => {
        response.writeHead(200, { 'content-length': '1000' })
        response.write('{"auth":{"client_token"', () => response.destroy())
      },
    ],
    [
      'an answer without an end',
      'the answer is over 1048576 bytes',
      (response) => {
        response.writeHead(200)
        const more = (): void => void response.write('x'.repeat(65_536), (error) => (error ? undefined : more()))
        more()
      },
    ],
  ]

  test.each(cuts)('%s is trouble that is told', async (_what, words, fault) => {
    vault.fail('login', fault)
    const call = connect().call(login, never)
    await expect(call).rejects.toThrow(VaultConnectionError)
    await expect(call).rejects.toThrow(words)
  })

  test('one that does not come in time is given up', async () => {
    const clock = new ManualClock(Date.now())
    vault.fail('login', (response) => void response.writeHead(200).write('{'))
    const call = connect({ clock, timeout: 30_000 }).call(login, never)
    while (vault.calls.length < 1) await new Promise((resolve) => setImmediate(resolve))
    const [outcome] = await Promise.allSettled([call, clock.advance(30_000)])
    expect(outcome).toMatchObject({ reason: { message: expect.stringContaining('no answer within 30 s') as string } })
  })

  test('a signal ends the call at once, with its own reason', async () => {
    const giving = new AbortController()
    vault.fail('login', () => giving.abort(new Error('the volume is being unpublished')))
    await expect(connect().call(login, giving.signal)).rejects.toThrow('the volume is being unpublished')
  })
})

test('a connection that was closed while nobody used it is replaced without a word', async () => {
  const connection = connect()
  await connection.call(login, never)
  vault.fail('login', (response) => void response.socket?.resetAndDestroy())
  expect((await connection.call(login, never)).status).toBe(200)
  expect(vault.calls).toHaveLength(3)
})

test('what answers without being a Vault is trouble that is told', async () => {
  const server: Server = createServer((socket) => socket.end('SSH-2.0-nothing\r\n')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    await expect(connect({ address }).call(login, never)).rejects.toThrow(`${address} cannot be reached`)
  } finally {
    server.close()
  }
})

test('more calls than slots all come to their end', async () => {
  const connection = connect()
  const answers = await Promise.all(Array.from({ length: 100 }, () => connection.call(login, never)))
  expect(answers.every(({ status }) => status === 200)).toBe(true)
})

test('closing lets the calls under way end', async () => {
  const connection = connect()
  const call = connection.call(login, never)
  connection.close()
  expect((await call).status).toBe(200)
})
