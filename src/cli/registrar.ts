import { Command } from 'commander'
import { refuseFlagsBefore } from './help.ts'
import { explainPodCommand } from './registrar-explain.ts'
import { addRegistrarOptions, type RegistrarFlags } from './registrar-flags.ts'
import { planCommand } from './registrar-plan.ts'

const examples = `
Examples:
  # As its Deployment runs it, with the file that the old registrar had
  podpass registrar --config /run/spire/k8s-registrar/k8s-workload-registrar.conf

  # What would it write? Nothing is written
  podpass registrar plan --config registrar.conf --kubeconfig ~/.kube/config

  # Why has this pod no identity?
  podpass registrar explain shop/web-0 --config registrar.conf --kubeconfig ~/.kube/config

  # From outside of the cluster, with more in the log
  podpass registrar --config registrar.conf --kubeconfig ~/.kube/config -v debug

  # In the place of an old registrar without leader election, once that one has ended
  podpass registrar --config registrar.conf --takeover

The smallest file:
  mode               = "reconcile"
  trust_domain       = "example.org"
  cluster            = "production"
  server_socket_path = "/run/spire/server/private/api.sock"

See docs/registrar.md for every key, and docs/registrar-compatibility.md for what differs from the old registrar.
SIGTERM and SIGINT end it; another replica goes on.`

/**
 * `podpass registrar`: SPIRE knows every workload.
 *
 * @param run - runs it until it is stopped
 */
export function registrarCommand(run: (flags: RegistrarFlags) => Promise<void>): Command {
  const command = new Command('registrar')
    .summary('make entries in SPIRE for pods, as k8s-workload-registrar does; plan and explain them')
    .description('Makes entries in a SPIRE server for the pods of a cluster. See docs/registrar.md for its file.')
    // Flags behind a command are its own.
    .enablePositionalOptions()
    .addHelpText('after', examples)
    .hook('preSubcommand', refuseFlagsBefore)
    .action(run)
  return addRegistrarOptions(command).addCommand(planCommand()).addCommand(explainPodCommand())
}
