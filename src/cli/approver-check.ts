import { Command, Option } from 'commander'
import { runTests, type TestResult } from '../approver/check/run-tests.ts'
import type { Problem } from '../manifest/problem.ts'
import { systemClock } from '../runtime/clock.ts'
import { paint, plural } from '../try/look.ts'
import { renderProblems } from '../try/render-problems.ts'
import { readPolicies } from './approver-inputs.ts'
import { type ApproverFlags, approverOptions, limitsOf, settingsOf } from './approver-settings.ts'
import { lookOf } from './terminal-look.ts'

interface CheckFlags extends ApproverFlags {
  readonly output: 'text' | 'json'
  readonly color: boolean
}

const testFailed = 1
const invalidPolicy = 2

const examples = `
Examples:
  podpass approver check policies/*.yaml                    in a pre-commit hook or CI
  kustomize build policies | podpass approver check -       whatever makes them
  podpass approver check --output json policies/*.yaml      for scripts

Exit codes: 0 all policies can be used and their tests pass, 1 a test fails, 2 a policy cannot be used.`

/** `podpass approver check`: are these policies right, and do they do what their tests say? */
export function checkCommand(): Command {
  const command = new Command('check')
    .summary('validate policies and run their tests, without a cluster')
    .description(
      'Reads CertificatePolicies as the approver does: fields, templates, expressions, and what must go together. Then runs the ' +
        'tests of each: requests as their authors would make them, with real keys and signatures.',
    )
    .argument('<file...>', 'policies in YAML or JSON; - is standard input')
    .addOption(new Option('-o, --output <form>', 'how to tell').choices(['text', 'json']).default('text'))
    .option('--no-color', 'no colours, as with NO_COLOR; they are only used on a terminal')
  for (const option of approverOptions()) command.addOption(option)
  return command.addHelpText('after', examples).action(async (files: string[], flags: CheckFlags) => {
    process.exitCode = await check(files, flags)
  })
}

async function check(files: readonly string[], flags: CheckFlags): Promise<number> {
  const { policies, problems } = await readPolicies(files, limitsOf(flags))
  const results = policies.flatMap((policy) => runTests(policy, settingsOf(flags), systemClock.now()))
  if (flags.output === 'json')
    printJson(
      policies.map(({ name }) => name),
      problems,
      results,
    )
  else printText(policies.length, problems, results, flags)
  if (problems.length > 0) return invalidPolicy
  return results.every(({ passed }) => passed) ? 0 : testFailed
}

function printJson(policies: readonly string[], problems: readonly Problem[], results: readonly TestResult[]): void {
  const tests = results.map(({ policy, test, expected, passed, why, decision }) => ({
    policy,
    test,
    expected,
    decision: decision?.is,
    passed,
    ...(why !== '' && { why }),
  }))
  process.stdout.write(`${JSON.stringify({ policies, problems, tests }, undefined, 2)}\n`)
}

function printText(
  count: number,
  problems: readonly Problem[],
  results: readonly TestResult[],
  { color }: CheckFlags,
): void {
  const look = lookOf(process.stdout, color)
  const lines = renderProblems(problems, look, 'red')
  for (const { policy, test, passed, expected, why } of results) {
    if (passed) lines.push(`${paint(look, 'green', '✓')} ${policy}: ${test}`)
    else lines.push(`${paint(look, 'red', '✗')} ${policy}: ${test}`, `    expected ${expected}, and ${why}`)
  }
  const failed = results.filter(({ passed }) => !passed).length
  const tests =
    failed === 0 ? `${plural(results.length, 'test')} passed` : `${failed} of ${plural(results.length, 'test')} failed`
  const bad = problems.length === 0 ? '' : `, ${plural(problems.length, 'problem')}`
  process.stdout.write(
    `${[...lines, `${plural(count, 'good policy').replace('policys', 'policies')}${bad}, ${tests}`].join('\n')}\n`,
  )
}
