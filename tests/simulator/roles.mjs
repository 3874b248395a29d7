// Holds the roles of template.yaml against an independent simulator of IAM: every call that the
// code makes is allowed, and what it must not do is denied. The cases are in roles/, one file for
// each function with the roles that belong to it:
//
//   makes   the calls that the code makes. Each is asked of all roles, and denied to those that do
//           not make it, and each statement of a role's policies must be needed by one of them.
//   never   what the role in particular must not do. What none may do stands in roles/none.mjs.
//   lets    who may assume the role. Each is asked of all roles, too.
//
// A role without cases fails, so a new function needs a file here.
//
// node roles.mjs <path of the program roles> <path of template.yaml>

import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { allow, answer, tally } from './asking.mjs'
import { session } from './calls.mjs'
import deployment from './deployment.json' with { type: 'json' }
import { STRANGE_CALLERS, STRANGE_CALLS } from './roles/none.mjs'

const [program, template] = process.argv.slice(2)
const folder = new URL('./roles/', import.meta.url)
const { roles, functions, resources } = JSON.parse(
  execFileSync(program, [template, new URL('./deployment.json', import.meta.url).pathname], {
    encoding: 'utf8'
  })
)
const { check, note, end } = tally()

const cases = {}
for (const file of readdirSync(folder).filter((file) => file !== 'none.mjs')) {
  for (const [id, own] of Object.entries((await import(new URL(file, folder))).default)) {
    if (id in cases) note(`${file}: ${id} has cases in another file already`)
    if (!(id in roles)) note(`${file}: the template has no role ${id}`)
    const flat = (list) => (list ?? []).flat(Infinity)
    cases[id] = { lets: flat(own.lets), makes: flat(own.makes), never: flat(own.never) }
  }
}
for (const id of Object.keys(roles)) {
  for (const what of ['lets', 'makes', 'never']) {
    if (!cases[id]?.[what].length) note(`${id} has no ${what} in tests/simulator/roles`)
  }
}
const known = new Set(Object.values(roles).map((role) => role.arn))
for (const [id, arn] of Object.entries(functions)) {
  if (!known.has(arn)) note(`${id}: its role ${arn} is none of the template's`)
}

const key = (asked) => JSON.stringify([asked.action, asked.caller, asked.resource, asked.context])
/** Each request once, by its key. */
const union = (lists) => new Map(lists.flat(Infinity).map((asked) => [key(asked), asked]))
const described = ({ action, resource, context }) =>
  [`${action} on ${resource}`, ...Object.entries(context).map((pair) => pair.join(' '))].join(', ')

/** The policy of what is asked for: a role's trust, or that of a queue or bucket. */
const policyOf = (arn) => {
  const role = Object.values(roles).find((role) => role.arn === arn)
  return role?.trust ?? resources[arn.split('/')[0]]
}

const callSimulation = (role, identityPolicies, call, secure = 'true') => {
  const { caller, context } = session(role.arn)
  const resourcePolicy = call.policy ?? policyOf(call.resource)
  return {
    request: {
      principal: caller,
      action: call.action,
      resource: { resource: call.resource, accountId: call.account ?? deployment.account },
      contextVariables: { 'aws:SecureTransport': secure, ...context, ...call.context }
    },
    identityPolicies,
    ...(resourcePolicy && { resourcePolicy })
  }
}

/** The caller's own policies allow everything: the trust alone is what is asked. */
const trustSimulation = (role, { caller, context }) => ({
  request: {
    principal: caller,
    action: 'sts:AssumeRole',
    resource: { resource: role.arn, accountId: deployment.account },
    contextVariables: { 'aws:SecureTransport': 'true', ...context }
  },
  identityPolicies: caller.startsWith('arn:') ? [{ name: 'all', policy: allow('*', '*') }] : [],
  resourcePolicy: role.trust
})

const policiesOf = (role) =>
  Object.entries(role.policies).map(([name, policy]) => ({ name, policy }))

/** Statements that could be left out, for all that the code does. */
const needless = async (role, makes) => {
  const found = []
  for (const { name, policy } of policiesOf(role)) {
    for (const Statement of policy.Statement) {
      const alone = [{ name, policy: { ...policy, Statement: [Statement] } }]
      let needed = false
      for (const call of makes) {
        // Its errors are found where the call itself is asked.
        const result = await answer(callSimulation(role, alone, call)).catch(() => undefined)
        needed ||= result === 'Allowed'
        if (needed) break
      }
      if (!needed) found.push(JSON.stringify(Statement))
    }
  }
  return found
}

const every = Object.values(cases)
const calls = union([every.map((own) => own.makes), STRANGE_CALLS])
const callers = union([
  every.map((own) => own.lets),
  STRANGE_CALLERS,
  Object.values(roles).map((role) => session(role.arn))
])
for (const [id, role] of Object.entries(roles)) {
  // That it has none is noted above.
  if (!(id in cases)) continue
  const { lets, makes, never } = cases[id]
  const may = union([makes])
  const admits = union([lets])
  const policies = policiesOf(role)
  for (const [of, call] of calls) {
    await check(`${id}: ${described(call)}`, may.has(of), callSimulation(role, policies, call))
  }
  for (const call of never) {
    if (may.has(key(call))) note(`${id}: ${described(call)} is in makes and in never`)
    await check(`${id}: ${described(call)}`, false, callSimulation(role, policies, call))
  }
  for (const call of makes.filter(({ action }) => /^(s3|sqs):/.test(action))) {
    const plain = callSimulation(role, policies, call, 'false')
    await check(`${id}, without TLS: ${described(call)}`, false, plain)
  }
  for (const [of, asking] of callers) {
    const name = `${id}, assumed by ${asking.caller} with ${JSON.stringify(asking.context)}`
    await check(name, admits.has(of), trustSimulation(role, asking))
  }
  for (const statement of await needless(role, makes)) {
    note(`${id}: no call of the code needs ${statement}`)
  }
}
end(`${Object.keys(roles).length} roles of the template`)
