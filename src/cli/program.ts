import { Command } from 'commander'
import { exitCodes, helpStyle, inheritSettings, refuseUnknownCommand } from './help.ts'
import { withRole } from './program-role.ts'
import { UsageError } from './usage-error.ts'
import { programVersion } from './version.ts'

/** The program with its commands, ready to parse. */
export function createProgram(commands: readonly Command[]): Command {
  const program = new Command('podpass')
    .description('Every Kubernetes pod gets its own X.509 identity: its key never leaves the node.')
    .usage('COMMAND [flags]')
    .version(programVersion)
    // Else commander would sort flags before commands see them, and those could not tell whose a flag is.
    .enablePositionalOptions()
    .showHelpAfterError('(podpass --help, or podpass COMMAND --help, tells more)')
    .addHelpText('after', exitCodes)
    .configureHelp(helpStyle)
    .hook('preAction', (_program, command) => refuseUnknownCommand(command))
    .exitOverride((error) => {
      process.exit(error.exitCode === 0 ? 0 : 2)
    })
  for (const command of commands) program.addCommand(takeVersionFlag(command))
  inheritSettings(program)
  return program
}

/** `podpass driver --version` works like `podpass --version`, which is the one that help shows. */
function takeVersionFlag(command: Command): Command {
  command.version(programVersion)
  command.options.find((option) => option.attributeName() === 'version')?.hideHelp()
  return command
}

/** Runs one of some commands; exits with 2 where the arguments or the configuration are wrong, and with 1 where the command fails. */
export async function runProgram(commands: readonly Command[], args: readonly string[]): Promise<void> {
  const program = createProgram(commands)
  try {
    await program.parseAsync(withRole(args), { from: 'user' })
  } catch (error) {
    process.stderr.write(`podpass: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = error instanceof UsageError ? 2 : 1
  }
}
