import { Command } from 'commander'
import { stringify } from 'yaml'
import { convertDocument } from '../approver/convert/convert-document.ts'
import { loadPolicies } from '../approver/policy/load-policies.ts'
import { loadCel } from '../approver/rule/cel.ts'
import { readManifest } from '../manifest/manifest.ts'
import { inReadingOrder, type Problem } from '../manifest/problem.ts'
import { renderProblems } from '../try/render-problems.ts'
import { readDocuments } from './approver-inputs.ts'
import { lookOf } from './terminal-look.ts'

const invalidInput = 2

const examples = `
Examples:
  podpass approver convert policies.yaml > converted.yaml
  kubectl get certificaterequestpolicies -o yaml | podpass approver convert - | podpass approver check -

What cannot be carried over is told on standard error: a warning where the new policy is stricter or needs something beside it, an
error where it would be weaker. A policy with an error is not printed.

Exit codes: 0 all are converted, 2 one cannot be.`

/** `podpass approver convert`: from approver-policy's CertificateRequestPolicy to ours. */
export function convertCommand(): Command {
  return new Command('convert')
    .summary("turn approver-policy's CertificateRequestPolicies into CertificatePolicies")
    .description(
      'Prints a CertificatePolicy for each CertificateRequestPolicy of the files: never one that allows more.',
    )
    .argument('<file...>', 'policies in YAML or JSON; - is standard input')
    .option('--no-color', 'no colours, as with NO_COLOR; they are only used on a terminal')
    .addHelpText('after', examples)
    .action(async (files: string[], { color }: { readonly color: boolean }) => {
      process.exitCode = await convert(files, color)
    })
}

async function convert(files: readonly string[], color: boolean): Promise<number> {
  const { documents, problems } = await readDocuments(files)
  const conversions = documents.flatMap(convertDocument)
  const errors: Problem[] = [...problems]
  const warnings: Problem[] = []
  const texts: string[] = []
  for (const conversion of conversions) {
    errors.push(...conversion.errors)
    warnings.push(...conversion.warnings)
    if (conversion.errors.length > 0 || conversion.policy === undefined) continue
    const text = stringify(conversion.policy, { lineWidth: 0 })
    // What comes out is read as the approver would, so that an expression which it does not understand is no surprise.
    const manifest = readManifest({ name: 'converted', text })
    const loaded = await loadPolicies(manifest.documents, { allowApiserverSigners: false }, () => loadCel())
    const location = conversion.location
    errors.push(
      ...loaded.problems.map(({ message, object }) => ({
        location,
        message: `converted: ${message}`,
        ...(object !== undefined && { object }),
      })),
    )
    if (loaded.problems.length === 0) texts.push(text)
  }
  const look = lookOf(process.stderr, color)
  const lines = [
    ...renderProblems(inReadingOrder(errors), look, 'red'),
    ...renderProblems(inReadingOrder(warnings), look, 'yellow'),
  ]
  if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`)
  process.stdout.write(texts.join('---\n'))
  return errors.length > 0 ? invalidInput : 0
}
