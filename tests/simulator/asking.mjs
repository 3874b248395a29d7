// Asks the simulator of IAM, and counts what it answers otherwise than expected.

import { runSimulation } from '@cloud-copilot/iam-simulate'

/** A policy for callers whose own rights are not what is asked. */
export const allow = (action, resource) => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: action, Resource: resource }]
})

/** The simulator's answer; an error if it has none. */
export const answer = async (simulation) => {
  const found = await runSimulation(
    { serviceControlPolicies: [], resourceControlPolicies: [], ...simulation },
    {}
  )
  if (found.resultType !== 'single') {
    throw new Error(`it could not be simulated: ${JSON.stringify(found)}`)
  }
  // A key that the simulator leaves out of the request would make any answer worthless.
  const ignored = found.result.ignoredContextKeys ?? []
  if (ignored.length > 0) throw new Error(`the simulator ignores ${ignored}`)
  return found.overallResult
}

const ALLOWED = ['Allowed']
const DENIED = ['ImplicitlyDenied', 'ExplicitlyDenied']

/** Counts requests, and keeps a line for each one whose answer is another than expected. */
export const tally = () => {
  let asked = 0
  const wrong = []
  return {
    async check(name, allowed, simulation) {
      asked += 1
      let result
      try {
        result = await answer(simulation)
      } catch (error) {
        result = `no answer: ${error.message}`
      }
      if (!(allowed ? ALLOWED : DENIED).includes(result)) wrong.push(`${name}: ${result}`)
    },
    /** Something is wrong beside the requests. */
    note(line) {
      wrong.push(line)
    },
    /** Says what is wrong, and ends the process with it. */
    end(what) {
      for (const line of wrong) console.error(line)
      console.log(`${what}: ${asked} requests, ${wrong.length} answered otherwise than expected`)
      process.exit(asked > 0 && wrong.length === 0 ? 0 : 1)
    }
  }
}
