// Loaded into the driver by NODE_OPTIONS=--require, in tests alone: ends the process without giving it a chance at a named step.
// PODPASS_TEST_KILL_AT is `before` or `after`, the name of a function of node:fs without its Sync, the end of its last path, and which
// of these calls is meant: `before rename /..data 1`.
const fs = require('node:fs')

const [when, name, ending, count] = (process.env.PODPASS_TEST_KILL_AT ?? '').split(' ')
const original = fs[`${name}Sync`]
let seen = 0
if (original !== undefined) {
  fs[`${name}Sync`] = (...args) => {
    const path = args.findLast((arg) => typeof arg === 'string') ?? ''
    const meant = path.endsWith(ending) && ++seen === Number(count)
    if (meant && when === 'before') process.kill(process.pid, 'SIGKILL')
    const result = original(...args)
    if (meant && when === 'after') process.kill(process.pid, 'SIGKILL')
    return result
  }
}
