import { readdirSync } from 'node:fs'
import { Counter, Gauge, type Registry } from 'prom-client'

/**
 * Registers what Prometheus' client libraries tell of each process, by their names, and which program this is. It is read when
 * somebody scrapes; prom-client's own collection would also time the event loop, which wakes an idle process a hundred times a second.
 *
 * @param version - of this program
 */
export function registerProcessMetrics(registry: Registry, version: string): void {
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time of this process.',
    registers: [],
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / 1e6)
    },
  })
  const memory = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of this process.',
    registers: [],
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  const descriptors = new Gauge({
    name: 'process_open_fds',
    help: 'Open file descriptors of this process.',
    registers: [],
    collect() {
      // One is that of the folder itself.
      this.set(readdirSync('/proc/self/fd').length - 1)
    },
  })
  const start = new Gauge({
    name: 'process_start_time_seconds',
    help: 'When this process was started.',
    registers: [],
  })
  start.set(Math.round(Date.now() / 1000 - process.uptime()))
  const build = new Gauge({
    name: 'podpass_build_info',
    help: 'Always 1; its labels tell the version of podpass and of Node.',
    labelNames: ['version', 'node_version'],
    registers: [],
  })
  build.set({ version, node_version: process.versions.node }, 1)
  for (const metric of [cpu, memory, descriptors, start]) registry.registerMetric(metric)
  registry.registerMetric(build)
}
