import { type Figure, atMost, figure } from '../figure.ts'
import { ownCount, type RegistrarGround } from '../registrar-ground.ts'
import type { Row, RowOptions } from '../row.ts'
import { totalOf } from '../spire-server.ts'
import { median, percentile } from '../statistics.ts'
import { type NewPods, newPods } from './new-pods.ts'

/** Pods that come in a measurement. */
const count = 500
/** Milliseconds between two pods, where they do not come at once. */
const spacing = 20
/** Everybody's entries on the large server. */
const large = 50_000

export const spaced: Row<RegistrarGround> = {
  name: 'spaced',
  summary: `${1000 / spacing} new pods a second for ${(count * spacing) / 1000} s: from the pod to its entry`,
  isDefault: true,
  run: (ground, options) => spacedPods(ground, 0, options),
}

export const spacedLarge: Row<RegistrarGround> = {
  name: 'spaced-50k',
  summary: `the same with ${large} entries on the server`,
  isDefault: true,
  run: (ground, options) => spacedPods(ground, large - ownCount, options),
}

export const burst: Row<RegistrarGround> = {
  name: 'burst',
  summary: `${count} new pods at once: calls, and time to the last entry`,
  isDefault: true,
  run: (ground, options) => burstOfPods(ground, 0, options),
}

export const burstLarge: Row<RegistrarGround> = {
  name: 'burst-50k',
  summary: `the same with ${large} entries on the server`,
  isDefault: true,
  run: (ground, options) => burstOfPods(ground, large - ownCount, options),
}

async function spacedPods(
  ground: RegistrarGround,
  foreign: number,
  { repeat = 3, say }: RowOptions,
): Promise<readonly Figure[]> {
  const rounds = await measure(ground, foreign, 'spaced', spacing, repeat, say)
  const latencies = rounds.flatMap((round) => round.latencies)
  const title = `${1000 / spacing} new pods a second, ${ownCount + foreign} entries`
  return [
    figure({ title: `${title}, median`, unit: 'ms', samples: latencies, target: atMost(60, 'ms') }),
    figure({
      title: `${title}, p95`,
      unit: 'ms',
      samples: rounds.map((round) => percentile(round.latencies, 95)),
      target: atMost(100, 'ms'),
    }),
    figure({
      title: `${title}, calls a second`,
      unit: '',
      samples: rounds.map(({ calls, seconds }) => totalOf(calls) / seconds),
      target: atMost(25, ''),
    }),
  ]
}

async function burstOfPods(
  ground: RegistrarGround,
  foreign: number,
  { repeat = 3, say }: RowOptions,
): Promise<readonly Figure[]> {
  const rounds = await measure(ground, foreign, 'burst', 0, repeat, say)
  const title = `${count} new pods at once, ${ownCount + foreign} entries`
  return [
    figure({
      title: `${title}, calls`,
      unit: '',
      samples: rounds.map(({ calls }) => totalOf(calls)),
      by: (samples) => Math.max(...samples),
      target: atMost(15, ''),
    }),
    figure({ title: `${title}, first pod to last entry`, unit: 's', samples: rounds.map(({ seconds }) => seconds) }),
    figure({ title: `${title}, last pod to last entry`, unit: 'ms', samples: rounds.map(({ tail }) => tail) }),
  ]
}

async function measure(
  ground: RegistrarGround,
  foreign: number,
  name: string,
  gap: number,
  repeat: number,
  say: RowOptions['say'],
): Promise<readonly NewPods[]> {
  const { server, registrar } = await ground.scene(foreign)
  const rounds: NewPods[] = []
  for (let round = 0; round < repeat; round++) {
    const before = await registrar.calls()
    const arrived = await newPods(ground, server, `${name}-${round}`, count, gap)
    const after = await registrar.calls()
    rounds.push(arrived)
    const { latencies, calls, commits } = arrived
    // Whoever counts wrong would say so of itself, too.
    if (after.create - before.create !== calls.create) throw new Error('the registrar and the server count differently')
    if (after.list !== before.list) say('there was a full listing meanwhile')
    const told = { ...calls, p50: median(latencies), p95: percentile(latencies, 95), commit: median(commits) }
    say(JSON.stringify(told, (_, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(2)) : value)))
    await ground.deletePods(arrived.pods, server)
  }
  return rounds
}
