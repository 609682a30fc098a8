import { approverCommand } from './approver.ts'
import { completionCommand } from './completion.ts'
import { driverCommand } from './driver.ts'
import { runProgram } from './program.ts'
import { tryCommand } from './try.ts'

// Every command in one process: what runs from the sources, and on a laptop.
void runProgram([driverCommand(), approverCommand(), tryCommand(), completionCommand()], process.argv.slice(2))
