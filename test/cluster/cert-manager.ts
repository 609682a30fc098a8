import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAuthority, issue } from './certificate-authority.ts'
import { buildComponent } from './components/build.ts'
import { certManager } from './components/cert-manager/recipe.ts'
import type { ControlPlaneAccess } from './control-plane.ts'
import { Daemon } from './daemon.ts'
import { userKubeconfig } from './kubeconfig.ts'
import { apply, kubectl } from './kubectl.ts'
import { until } from './until.ts'

/**
 * The real cert-manager controllers that answer CertificateRequests, with their admission webhook, which stamps every request with
 * who made it. Their files and logs are in the control plane's directory.
 */
export class CertManager {
  readonly #daemons: AsyncDisposableStack
  readonly #startController: () => Promise<Daemon>
  #controller: Daemon

  private constructor(daemons: AsyncDisposableStack, controller: Daemon, startController: () => Promise<Daemon>) {
    this.#daemons = daemons
    this.#controller = controller
    this.#startController = startController
  }

  /**
   * Resolves once requests are admitted; issuers that are made then get ready by themselves.
   *
   * @param say - takes a line about what takes long
   */
  static async start(controlPlane: ControlPlaneAccess, say: (line: string) => void): Promise<CertManager> {
    const binaries = await buildComponent(certManager, say)
    const directory = join(controlPlane.directory, 'cert-manager')
    await mkdir(directory)
    const kubeconfig = await userKubeconfig(controlPlane, 'cert-manager', ['system:masters'])
    await kubectl(controlPlane, ['apply', '--server-side', '-f', join(binaries, 'crds')])
    await kubectl(controlPlane, ['wait', '--for=condition=Established', '--timeout=60s', '-f', join(binaries, 'crds')])

    await using daemons = new AsyncDisposableStack()
    const log = (name: string): string => join(controlPlane.directory, 'log', name)
    const startController = (): Promise<Daemon> =>
      Daemon.start(join(binaries, 'cert-manager'), [kubeconfig], { log: log('cert-manager') })
    const controller = daemons.use(await startController())

    const authority = await createAuthority(directory, 'webhook-ca')
    const server = await issue(authority, directory, 'webhook', {
      commonName: 'webhook',
      alternativeNames: ['IP:127.0.0.1'],
    })
    const urlFile = join(directory, 'webhook-url')
    const webhook = await Daemon.start(join(binaries, 'webhook'), ['-test.timeout', '0'], {
      log: log('cert-manager-webhook'),
      env: {
        WEBHOOK_KUBECONFIG: kubeconfig,
        WEBHOOK_CERTIFICATE: server.certificate,
        WEBHOOK_KEY: server.key,
        WEBHOOK_URL_FILE: urlFile,
        TMPDIR: directory,
      },
    })
    daemons.use(webhook)
    const url = await until("cert-manager's webhook", () => readFile(urlFile, 'utf8'), { orFail: webhook.failure() })
    const caBundle = (await readFile(authority.certificate)).toString('base64')
    await apply(controlPlane, ...webhookConfigurations(url, caBundle))
    return new CertManager(daemons.move(), controller, startController)
  }

  /** Ends the controllers, so that nobody answers requests; the webhook goes on admitting them. */
  async stopController(): Promise<void> {
    await this.#controller.close()
  }

  /** Starts the controllers again after they were stopped. */
  async startController(): Promise<void> {
    this.#controller = this.#daemons.use(await this.#startController())
  }

  async close(): Promise<void> {
    await this.#daemons.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Makes an Issuer that signs with a CA of its own, whose common name is the issuer's name.
 *
 * @returns the CA's certificate in PEM, once the issuer is ready
 */
export async function createCaIssuer(
  controlPlane: ControlPlaneAccess,
  namespace: string,
  name: string,
): Promise<string> {
  const directory = join(controlPlane.directory, `issuer-${namespace}-${name}`)
  await mkdir(directory)
  const authority = await createAuthority(directory, name)
  const [certificate, key] = [await readFile(authority.certificate, 'utf8'), await readFile(authority.key, 'utf8')]
  const secretName = `${name}-ca`
  await apply(
    controlPlane,
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: secretName },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': certificate, 'tls.key': key },
    },
    issuer(namespace, name, { ca: { secretName } }),
  )
  await ready(controlPlane, namespace, name)
  return certificate
}

/** Makes an Issuer of the kind SelfSigned, which signs with the key of who asks and so can serve no volume. */
export async function createSelfSignedIssuer(
  controlPlane: ControlPlaneAccess,
  namespace: string,
  name: string,
): Promise<void> {
  await apply(controlPlane, issuer(namespace, name, { selfSigned: {} }))
  await ready(controlPlane, namespace, name)
}

function issuer(namespace: string, name: string, spec: object): object {
  return { apiVersion: 'cert-manager.io/v1', kind: 'Issuer', metadata: { namespace, name }, spec }
}

async function ready(controlPlane: ControlPlaneAccess, namespace: string, name: string): Promise<void> {
  await kubectl(controlPlane, ['wait', '-n', namespace, '--for=condition=Ready', '--timeout=60s', `issuer/${name}`])
}

/** What cert-manager's own manifests register for it, at the URL of a webhook outside of the cluster. */
function webhookConfigurations(url: string, caBundle: string): readonly object[] {
  const webhook = {
    name: 'webhook.cert-manager.io',
    admissionReviewVersions: ['v1'],
    matchPolicy: 'Equivalent',
    failurePolicy: 'Fail',
    sideEffects: 'None',
  }
  const clientConfig = (path: string): object => ({ url: `${url}${path}`, caBundle })
  const changes = { apiGroups: ['cert-manager.io', 'acme.cert-manager.io'], apiVersions: ['v1'] }
  const requests = { apiGroups: ['cert-manager.io'], apiVersions: ['v1'], resources: ['certificaterequests'] }
  return [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'cert-manager-webhook' },
      webhooks: [
        { ...webhook, clientConfig: clientConfig('/mutate'), rules: [{ ...requests, operations: ['CREATE'] }] },
      ],
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'cert-manager-webhook' },
      webhooks: [
        {
          ...webhook,
          clientConfig: clientConfig('/validate'),
          rules: [{ ...changes, operations: ['CREATE', 'UPDATE'], resources: ['*/*'] }],
        },
      ],
    },
  ]
}
