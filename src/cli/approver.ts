import { Command } from 'commander'
import { checkCommand } from './approver-check.ts'
import { convertCommand } from './approver-convert.ts'
import { explainCommand } from './approver-explain.ts'
import { addApproverRunOptions, type ApproverRunFlags } from './approver-flags.ts'
import { signCommand } from './approver-sign.ts'
import { refuseFlagsBefore } from './help.ts'

const examples = `
Examples:
  # As its Deployment runs it: policies are the cluster's CertificatePolicies
  podpass approver --metrics-bind-address :9403 \\
    --driver-identity system:serviceaccount:podpass:podpass-driver

  # What would it do? Nothing is written, and every decision is logged
  podpass approver --dry-run --policy-dir ./policies --kubeconfig ~/.kube/config

  # Why does this request wait?
  podpass approver explain csr/web-1

Switch other approvers off first: cert-manager approves every CertificateRequest by itself unless it runs with
--controllers=*,-certificaterequests-approver. See docs/approver.md.
SIGTERM and SIGINT end it; another replica goes on.`

/** `podpass approver`: who may have which certificate. */
export function approverCommand(): Command {
  const command = new Command('approver')
    .summary('decide certificate requests by policy; check, explain and convert policies')
    .description('Decides certificate requests by policy. See docs/approver.md for policies, bindings and rules.')
    // Flags behind a command are its own: check and explain have some of the same name.
    .enablePositionalOptions()
    .addHelpText('after', examples)
    .hook('preSubcommand', refuseFlagsBefore)
    .action(async (flags: ApproverRunFlags) => {
      // Loaded when it runs: the commands without a cluster need none of it.
      const { runApprover } = await import('./approver-run.ts')
      await runApprover(flags)
    })
  addApproverRunOptions(command)
  return command
    .addCommand(checkCommand())
    .addCommand(explainCommand())
    .addCommand(convertCommand())
    .addCommand(signCommand())
}
