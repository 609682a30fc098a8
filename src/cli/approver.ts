import { Command } from 'commander'
import { checkCommand } from './approver-check.ts'
import { convertCommand } from './approver-convert.ts'
import { explainCommand } from './approver-explain.ts'

/** `podpass approver`: who may have which certificate. */
export function approverCommand(): Command {
  return new Command('approver')
    .summary('who may have which certificate: check policies, explain decisions, convert from approver-policy')
    .description('Approves certificate requests by policy. See docs/approver.md for policies, bindings and rules.')
    .addCommand(checkCommand())
    .addCommand(explainCommand())
    .addCommand(convertCommand())
}
