// What the cases of roles/ are written in: requests to AWS, in the words of the code that makes
// them. The ARNs are put together here, and not taken from the template's reader, so that a
// mistake of the one is none of the other.

import deployment from './deployment.json' with { type: 'json' }

const { stack, account, region, names, parameters } = deployment

/** An account that has nothing to do with the stack. */
export const STRANGER = '999999999999'
const CUSTOMER = '222222222222'

/** The name of a resource; without one of its own it is made of its logical id. */
const name = (id) => names[id] ?? `${stack}-${id.toLowerCase()}`
const regional = (service, rest) => `arn:aws:${service}:${region}:${account}:${rest}`

export const LOG = `arn:aws:s3:::${names.LogBucket}`
export const STATE = `arn:aws:s3:::${names.StateBucket}`
export const EXPORTS = `arn:aws:s3:::${names.ExportBucket}`
export const BUS = regional('events', `event-bus/${stack}`)
export const OTHER_BUS = regional('events', 'event-bus/other')
export const DEFAULT_BUS = regional('events', 'event-bus/default')
export const queue = (id) => regional('sqs', name(id))
/** A function, by its own name: `audit-writer`. */
export const lambda = (own) => regional('lambda', `function:${stack}-${own}`)
export const parameter = (path) => regional('ssm', `parameter${path}`)
export const API_KEY = parameter(parameters.ApiKeyParameter)
export const SERVICE_TOKEN = parameter(parameters.ServiceTokenParameter)
/** The access keys of a destination. */
export const ACCESS_KEYS = parameter(`${parameters.ParameterPath}/acme/acme-audit`)
export const role = (own, of = account) => `arn:aws:iam::${of}:role/${own}`
/** A role whose name CloudFormation makes of its logical id. */
export const roleOf = (id) => role(name(id))
export const PRINCIPAL = role(parameters.PrincipalRoleName)
export const OWN_EXPORTS = role(`${stack}-own-exports`)
export const CUSTOMERS_ROLE = role('sealift', CUSTOMER)
export const OWN_ORGANIZATION = parameters.OrganizationId

/** One request. */
export const request = (action, resource, context = {}) => ({ action, resource, context })

// Objects. A missing key is 404 and not 403 only to those who may list the bucket; a condition on
// what stands there (If-Match) needs the right to read it, and so does looking whether what
// refused a write is one's own.
export const get = (bucket, key) => request('s3:GetObject', `${bucket}/${key}`)
export const put = (bucket, key) => request('s3:PutObject', `${bucket}/${key}`)
export const erase = (bucket, key) => request('s3:DeleteObject', `${bucket}/${key}`)
export const list = (bucket) => request('s3:ListBucket', bucket)
/** A document that is only read. */
export const load = (bucket, key) => [get(bucket, key), list(bucket)]
/** A document that is created and replaced by compare-and-swap. */
export const document = (bucket, key) => [...load(bucket, key), put(bucket, key)]

// Queues, the bus, secrets.
/** What Lambda does on a function's behalf with the queue that feeds it. */
export const consume = (id) =>
  ['ReceiveMessage', 'DeleteMessage', 'GetQueueAttributes'].map((action) =>
    request(`sqs:${action}`, queue(id))
  )
export const send = (id) => request('sqs:SendMessage', queue(id))
export const tell = (bus = BUS) => request('events:PutEvents', bus)
export const secret = (arn) => request('ssm:GetParameter', arn)
export const invoke = (own) => request('lambda:InvokeFunction', lambda(own))
/** What Lambda does on a function's behalf with a log. */
export const logs = (own) =>
  ['CreateLogStream', 'PutLogEvents'].map((action) =>
    request(
      `logs:${action}`,
      regional('logs', `log-group:/aws/lambda/${stack}-${own}:log-stream:2026/05/12/[$LATEST]a1`)
    )
  )
/** What it does with the function's own log, and with what it traced. */
export const observed = (own) => [
  ...logs(own),
  ...['PutTelemetryRecords', 'PutTraceSegments'].map((action) => request(`xray:${action}`, '*'))
]

// Roles.
export const assume = (arn, externalId) =>
  request('sts:AssumeRole', arn, externalId === undefined ? {} : { 'sts:ExternalId': externalId })
/** What lets in all of our account: then only what the caller itself may do counts. */
const open = (action, resource) => ({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${account}:root` },
      Action: action,
      ...(resource && { Resource: resource })
    }
  ]
})
/** A customer's role that lets in all of our account, whatever the ExternalId. */
export const assumeCustomers = (externalId) => ({
  ...assume(CUSTOMERS_ROLE, externalId),
  account: CUSTOMER,
  policy: open('sts:AssumeRole')
})
/** A role of the stack's account that has nothing to do with the stack, likewise. */
export const assumeNeighbours = (externalId) => ({
  ...assume(role('neighbour'), externalId),
  policy: open('sts:AssumeRole')
})
/** A customer's bucket that lets in all of our account, likewise. */
export const customersObject = (action, key) => ({
  ...request(action, `arn:aws:s3:::customers-bucket/${key}`),
  account: CUSTOMER,
  policy: open('s3:*', 'arn:aws:s3:::customers-bucket/*')
})

// Who asks to assume a role.
/** A service, on behalf of an account. */
export const service = (own, of = account) => ({
  caller: `${own}.amazonaws.com`,
  context: { 'aws:SourceAccount': of }
})
/** A session of the role, as a function has one. */
export const session = (arn, context = {}) => {
  const [, , , , of, path] = arn.split(':')
  return {
    caller: `arn:aws:sts::${of}:assumed-role/${path.replace('role/', '')}/session`,
    context: { 'aws:PrincipalArn': arn, ...context }
  }
}
/** A user of an account. */
export const user = (of = account) => {
  const arn = `arn:aws:iam::${of}:user/operator`
  return { caller: arn, context: { 'aws:PrincipalArn': arn } }
}

/** The role of a function: Lambda assumes it, and nobody else. */
export const LAMBDA = [service('lambda')]
/** The role of a function's schedule. */
export const schedule = (own, deadLetters) => ({
  lets: [service('scheduler')],
  makes: [invoke(own), send(deadLetters)],
  never: [request('lambda:UpdateFunctionCode', lambda(own))]
})
