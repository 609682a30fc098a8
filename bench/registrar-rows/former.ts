import { until } from '../../test/cluster/until.ts'
import { startFormerRegistrar } from '../../test/cluster/former-registrar.ts'
import { countEntries, entriesSince } from '../entry-table.ts'
import { figure } from '../figure.ts'
import { ownCount, podCount, type RegistrarGround, registrarConfiguration } from '../registrar-ground.ts'
import type { Row } from '../row.ts'
import { BenchServer, totalOf } from '../spire-server.ts'
import { percentile } from '../statistics.ts'
import { newPods } from './new-pods.ts'

const count = 500

export const former: Row<RegistrarGround> = {
  name: 'former',
  summary: `SPIRE's k8s-workload-registrar 1.5.6: first sync, ${count} pods evenly spaced`,
  isDefault: false,
  async run(ground, { say }) {
    await ground.closeScene()
    await using server = await BenchServer.start()
    const { socket, database } = server.server
    const configuration = `${registrarConfiguration(socket)}\nmetrics_addr = "0"\n`
    const startedAt = Date.now()
    await using registrar = await startFormerRegistrar(ground.controlPlane, configuration)
    await until('all entries', () => countEntries(database) >= ownCount, {
      timeout: 400_000,
      interval: 250,
      orFail: registrar.failure(),
    })
    const seconds = ((entriesSince(database, 0).at(-1)?.written ?? Number.NaN) - startedAt) / 1000
    const calls = totalOf(await server.calls())
    say(`first sync in ${seconds.toFixed(1)} s with ${calls} calls`)
    const arrivals = await newPods(ground, server, 'former', count, 20)
    await ground.deletePods(arrivals.pods, server)
    const title = 'former registrar'
    return [
      figure({ title: `${title}, first sync, ${podCount} pods`, unit: 's', samples: [seconds] }),
      figure({ title: `${title}, first sync, calls`, unit: '', samples: [calls] }),
      figure({ title: `${title}, 50 new pods a second, median`, unit: 'ms', samples: arrivals.latencies }),
      figure({
        title: `${title}, 50 new pods a second, p95`,
        unit: 'ms',
        samples: [percentile(arrivals.latencies, 95)],
      }),
      figure({ title: `${title}, ${count} new pods, calls`, unit: '', samples: [totalOf(arrivals.calls)] }),
    ]
  },
}
