import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { Registry } from 'prom-client'
import { PolicySet } from '../approver/live/policy-set.ts'
import { ServedReflector } from '../approver/live/served-reflector.ts'
import type { RequestObject } from '../approver/request/request-object.ts'
import { LivePodDecider } from '../approver/sign/live-pod-decider.ts'
import { RunningSigner, type SignerDescription } from '../approver/sign/running-signer.ts'
import { createSignMetrics } from '../approver/sign/sign-metrics.ts'
import { KubernetesClient } from '../kubernetes/client.ts'
import { EventRecorder } from '../kubernetes/events.ts'
import { runAsLeader } from '../kubernetes/lease.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { outageProblems, type Watched } from '../kubernetes/outage-problems.ts'
import { certificateSigningRequests, podCertificateRequests, type Resource } from '../kubernetes/resource.ts'
import { systemClock } from '../runtime/clock.ts'
import { stopSignal } from '../runtime/stop-signal.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { serveMetrics } from '../runtime/metrics-server.ts'
import { registerProcessMetrics } from '../runtime/process-metrics.ts'
import type { SignFlags } from './approver-sign.ts'
import { limitsOf, settingsOf } from './approver-settings.ts'
import { connectionConfig } from './connection.ts'
import { programVersion } from './version.ts'

/** Runs until a signal comes, or the lease is lost. */
export async function runSigners(descriptions: readonly SignerDescription[], flags: SignFlags): Promise<void> {
  const clock = systemClock
  const log = createLog(flags.logLevel)
  const stopping = stopSignal(log)
  await using parts = new AsyncDisposableStack()
  const config = await connectionConfig(flags)
  const client = new KubernetesClient(config, { log, clock, userAgent: `podpass-signer/${programVersion}` })
  parts.defer(() => client.close())
  const events = new EventRecorder({ client, component: 'podpass-signer', instance: hostname(), log, clock })
  parts.defer(() => events.close())
  const registry = new Registry()
  registerProcessMetrics(registry, programVersion)
  let signers: readonly RunningSigner[] = []
  let pods: LivePodDecider | undefined
  let watches: readonly Watched[] = []
  const metrics = createSignMetrics(registry, () => {
    for (const signer of signers) signer.measure()
  })
  // A replica that waits is ready: it has nothing to do.
  const problems = (): readonly string[] => [
    ...signers.flatMap((signer) => signer.problems()),
    ...(pods?.problems() ?? []),
    ...outageProblems(watches, clock.now()),
  ]
  const server = await serveMetrics(flags.metricsBindAddress, registry, log, problems)
  parts.defer(() => server?.close())
  const lead = async (leading: AbortSignal): Promise<void> => {
    log.info({ signers: descriptions.map(({ profile }) => profile.signerName) }, 'leading')
    await using work = new AsyncDisposableStack()
    const onChange = (): void => {
      for (const signer of signers) signer.wake()
    }
    const { trustPropagation: propagation, trustPcrCreators: trustCreators = false, policyDir: directory } = flags
    const policies = new PolicySet({ client, directory, limits: limitsOf(flags), onChange, clock, log })
    work.defer(() => policies.close())
    const decider = new LivePodDecider({
      client,
      policies,
      settings: settingsOf(flags),
      signerNames: descriptions.map(({ profile }) => profile.signerName),
      trustCreators,
      onChange,
      clock,
      log,
    })
    pods = decider
    work.defer(() => decider.close())
    const followed: Watched[] = []
    watches = followed
    signers = descriptions.map((description) => {
      const options = { description, client, pods: decider, trustCreators, propagation, metrics, events, clock, log }
      const signer = new RunningSigner({ ...options, random: Math.random })
      work.defer(() => signer.close())
      followed.push(...follow(client, signer, description.profile.signerName, log, work))
      return signer
    })
    if (!leading.aborted) await once(leading, 'abort')
  }
  const identity = `${hostname()}_${randomUUID()}`
  await runAsLeader({ client, lease: flags.lease, identity, clock, log }, lead, stopping).catch((error: unknown) => {
    if (!stopping.aborted) throw error
  })
}

/** Shows a signer its requests. @returns what is watched for that */
function follow(
  client: KubernetesClient,
  signer: RunningSigner,
  signerName: string,
  log: Log,
  work: AsyncDisposableStack,
): readonly Watched[] {
  const watch = <T extends KubernetesObject>(
    resource: Resource<T>,
    toRequest: (object: T) => RequestObject,
  ): Watched => {
    const offer = (object: T): void => signer.offer(toRequest(object))
    const reflector = new ServedReflector<T, string>({
      client,
      resource,
      fieldSelector: `spec.signerName=${signerName}`,
      transform: ({ metadata }) => metadata.uid ?? '',
      handler: { added: offer, modified: offer, deleted: (uid) => signer.forget(uid) },
      log,
    })
    work.defer(() => reflector.close())
    return { what: `${resource.kind}s for ${signerName}`, outage: () => reflector.outage }
  }
  return [
    watch(certificateSigningRequests, (object) => ({ kind: 'CertificateSigningRequest', object })),
    watch(podCertificateRequests, (object) => ({ kind: 'PodCertificateRequest', object })),
  ]
}
