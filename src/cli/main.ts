import { approverCommand } from './approver.ts'
import { completionCommand } from './completion.ts'
import { driverCommand } from './driver.ts'
import { runProgram } from './program.ts'
import { registrarCommand } from './registrar.ts'
import { tryCommand } from './try.ts'

// Every command in one process: what runs from the sources, and on a laptop.
const registrar = registrarCommand(async (flags) => {
  const { runRegistrar } = await import('./registrar-run.ts')
  await runRegistrar(flags)
})
const commands = [driverCommand(), approverCommand(), registrar, tryCommand(), completionCommand()]
void runProgram(commands, process.argv.slice(2))
