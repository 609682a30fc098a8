import { build } from 'esbuild'
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { ClusterAccess } from './cluster.ts'
import { buildComponent } from './components/build.ts'
import { csiSidecars } from './components/csi-sidecars/recipe.ts'
import { apply, kubectl } from './kubectl.ts'
import { importImage } from './node.ts'
import { placePod } from './place-pod.ts'
import type { Pod } from './pod.ts'
import { nodeImage } from './program-image.ts'
import type { ServiceAddress } from './service-address.ts'
import { until } from './until.ts'

const namespace = 'cert-manager'
const name = 'cert-manager-csi-driver'
const daemonSet = ['-n', namespace, `daemonset/${name}`] as const

/** The host's folder that the chart gives to the driver as its data root. */
export const chartDataRoot = '/var/lib/cert-manager-csi-driver'

/**
 * Gives the node the images that the chart of cert-manager's csi-driver names: the sidecars, and a stand-in for the driver that
 * leaves what it leaves (fixtures/former-driver.ts).
 */
export async function importChartImages({ controlPlane, node }: ClusterAccess): Promise<void> {
  const sidecars = await buildComponent(csiSidecars, console.error)
  const registrar = '/node-driver-registrar'
  await importImage(node, {
    name: 'quay.io/jetstack/csi-node-driver-registrar:v2.17.0',
    entrypoint: [registrar],
    files: { [registrar]: join(sidecars, 'node-driver-registrar') },
  })
  const probe = '/livenessprobe'
  await importImage(node, {
    name: 'quay.io/jetstack/csi-livenessprobe:v2.19.0',
    entrypoint: [probe],
    files: { [probe]: join(sidecars, 'livenessprobe') },
  })
  const program = join(await mkdtemp(join(controlPlane.directory, 'former-')), 'former-driver.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'fixtures/former-driver.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'warning',
  })
  const former = '/former-driver.mjs'
  await importImage(
    node,
    await nodeImage('quay.io/jetstack/cert-manager-csi-driver:v0.16.0', former, { [former]: program }),
  )
}

/** cert-manager's csi-driver as its chart installs it (fixtures/go-csi-driver.yaml), on one node. */
export class GoDriverChart {
  readonly #cluster: ClusterAccess
  readonly #addresses: ServiceAddress[] = []

  private constructor(cluster: ClusterAccess) {
    this.#cluster = cluster
  }

  /**
   * Installs it and resolves once its pod runs.
   *
   * @param useTokenRequest - the chart's value `app.driver.useTokenRequest`
   */
  static async install(cluster: ClusterAccess, useTokenRequest: boolean): Promise<GoDriverChart> {
    const text = await readFile(join(import.meta.dirname, 'fixtures/go-csi-driver.yaml'), 'utf8')
    const rendered = useTokenRequest ? withTokenRequest(text) : text
    const objects = parseAllDocuments(rendered).map((document) => document.toJS() as object)
    // Parts of a CSIDriver object cannot be changed, and the tests before may have left another one.
    await kubectl(cluster.controlPlane, ['delete', 'csidriver', 'csi.cert-manager.io', '--ignore-not-found'])
    await apply(cluster.controlPlane, ...objects)
    const chart = new GoDriverChart(cluster)
    await chart.#run()
    return chart
  }

  /**
   * Swaps the driver's image, and nothing else, and resolves once the new pod runs.
   *
   * @param between - is run while there is no driver
   */
  async swapImage(image: string, between: () => Promise<void>): Promise<void> {
    const before = await this.pod()
    await kubectl(this.#cluster.controlPlane, ['set', 'image', ...daemonSet, `${name}=${image}`])
    await this.#run(before, between)
  }

  /** The driver's pod. */
  async pod(): Promise<Pod> {
    const pods = await this.#pods()
    const [pod] = pods
    if (pod === undefined || pods.length > 1) throw new Error(`expected one pod of the driver, got ${pods.length}`)
    return pod
  }

  /** What the driver of the pod that runs has logged, a line each. */
  async log(): Promise<readonly string[]> {
    const { name: pod } = await this.pod()
    return (await kubectl(this.#cluster.controlPlane, ['logs', '-n', namespace, pod, '-c', name])).trim().split('\n')
  }

  /** Runs a command in the driver's container. @returns its standard output */
  async exec(...command: readonly string[]): Promise<string> {
    const { name: pod } = await this.pod()
    return kubectl(this.#cluster.controlPlane, ['exec', '-n', namespace, pod, '-c', name, '--', ...command])
  }

  /** Takes it away, with its CSIDriver object. */
  async uninstall(): Promise<void> {
    const { controlPlane } = this.#cluster
    await kubectl(controlPlane, ['delete', ...daemonSet, '--ignore-not-found'])
    await until("the driver's pods to be gone", async () => (await this.#pods()).length === 0)
    await kubectl(controlPlane, ['delete', 'csidriver', 'csi.cert-manager.io', '--ignore-not-found'])
    for (const address of this.#addresses) await address.close()
  }

  /** Does for the next pod what a cluster's scheduler and kube-proxy do, and waits until it runs. */
  async #run(before?: Pod, between?: () => Promise<void>): Promise<void> {
    const { controlPlane } = this.#cluster
    const pod = await until('a pod of the driver', async () =>
      (await this.#pods()).find(({ uid }) => uid !== before?.uid),
    )
    await between?.()
    this.#addresses.push(await placePod(this.#cluster, pod))
    const wait = ['wait', 'pod', pod.name, '-n', namespace, '--for=condition=Ready', '--timeout=60s']
    await kubectl(controlPlane, wait).catch(async (error: unknown) => {
      const found = await kubectl(controlPlane, ['describe', 'pod', pod.name, '-n', namespace])
      const log = await kubectl(controlPlane, ['logs', pod.name, '-n', namespace, '-c', name]).catch(String)
      throw new Error(`the driver's pod does not run:\n${found}\n${log}`, { cause: error })
    })
  }

  async #pods(): Promise<readonly Pod[]> {
    const fields = 'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{"\\n"}{end}'
    const listed = await kubectl(this.#cluster.controlPlane, [
      'get',
      'pods',
      '-n',
      namespace,
      '-l',
      `app=${name}`,
      '-o',
      fields,
    ])
    return listed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [pod = '', uid = ''] = line.split(' ')
        return { namespace, name: pod, uid }
      })
  }
}

/** What the chart's value changes: a flag, and what the CSIDriver object asks of the kubelet. */
function withTokenRequest(text: string): string {
  const asked = '  requiresRepublish: true\n  tokenRequests:\n    - audience: ""\n      expirationSeconds: 3600\n'
  return text
    .replace('--use-token-request=false', '--use-token-request=true')
    .replace('  podInfoOnMount: true\n', (line) => `${line}${asked}`)
}
