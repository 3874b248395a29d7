// Holds the policies that `sealift onboard` prints, and some that customers get wrong, against an
// independent simulator of IAM. The cases, with the answers that are expected, are in cases.json;
// Sealift's own evaluator is held against the same file by cli/tests/onboard.rs.
//
// node simulate.mjs <path of sealift> <path of cases.json>

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { allow, tally } from './asking.mjs'

const [sealift, casesFile] = process.argv.slice(2)
const CUSTOMER = '222222222222'

const partitionOf = (arn) => arn.split(':')[1]

/** The role's trust policy is what is asked; the caller's own policies allow everything. */
const trustSimulation = (policy, { caller, external_id }) => ({
  request: {
    principal: caller,
    action: 'sts:AssumeRole',
    resource: {
      resource: `arn:${partitionOf(caller)}:iam::${CUSTOMER}:role/sealift`,
      accountId: CUSTOMER
    },
    contextVariables: external_id === undefined ? {} : { 'sts:ExternalId': external_id }
  },
  identityPolicies: [{ name: 'everything', policy: allow('*', '*') }],
  resourcePolicy: policy
})

/** The role's permission policy is what is asked; a key has the policy that AWS gives new ones. */
const permissionSimulation = (policy, { action, resource }) => ({
  request: {
    principal: `arn:${partitionOf(resource)}:iam::${CUSTOMER}:role/sealift`,
    action,
    resource: { resource, accountId: CUSTOMER },
    contextVariables: {}
  },
  identityPolicies: [{ name: 'printed', policy }],
  ...(action.startsWith('kms:') && {
    resourcePolicy: {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${CUSTOMER}:root` },
          Action: 'kms:*',
          Resource: '*'
        }
      ]
    }
  })
})

const { check, end } = tally()
for (const { name, onboard, trust_policy, trust = [], permissions = [] } of JSON.parse(
  readFileSync(casesFile, 'utf8')
)) {
  const printed = onboard
    ? JSON.parse(execFileSync(sealift, ['onboard', ...onboard, '--json'], { encoding: 'utf8' }))
    : { trust_policy }
  const ask = (request, simulation) =>
    check(`${name}: ${JSON.stringify(request)}`, request.allowed, simulation)
  for (const request of trust) {
    await ask(request, trustSimulation(printed.trust_policy, request))
  }
  for (const request of permissions) {
    await ask(request, permissionSimulation(printed.permission_policy, request))
  }
}
end('policies that customers are given')
