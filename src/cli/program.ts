import { Command } from 'commander'
import { withRole } from './program-role.ts'
import { programVersion } from './version.ts'

/** Runs one of some commands; exits with 2 where the arguments are wrong, and with 1 where the command fails. */
export async function runProgram(commands: readonly Command[], args: readonly string[]): Promise<void> {
  const program = new Command('podpass')
    .description('Every Kubernetes pod gets its own X.509 identity: its key never leaves the node.')
    .version(programVersion)
    .showHelpAfterError('(podpass --help, or podpass COMMAND --help, tells more)')
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : 2)
    })
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program))
  try {
    await program.parseAsync(withRole(args), { from: 'user' })
  } catch (error) {
    process.stderr.write(`podpass: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
