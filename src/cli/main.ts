import { driverCommand } from './driver.ts'
import { runProgram } from './program.ts'
import { tryCommand } from './try.ts'

// Every command in one process: what runs from the sources, and on a laptop.
void runProgram([driverCommand(), tryCommand()], process.argv.slice(2))
