// What no role may do, unless it is among what its own file says that it makes; and who may assume
// none, unless a file says that it lets them.

import {
  ACCESS_KEYS,
  API_KEY,
  BUS,
  CUSTOMERS_ROLE,
  DEFAULT_BUS,
  LOG,
  OTHER_BUS,
  OWN_EXPORTS,
  PRINCIPAL,
  SERVICE_TOKEN,
  STATE,
  STRANGER,
  assume,
  assumeCustomers,
  assumeNeighbours,
  consume,
  customersObject,
  erase,
  get,
  invoke,
  lambda,
  logs,
  parameter,
  put,
  queue,
  request,
  role,
  secret,
  send,
  service,
  session,
  tell,
  user
} from '../calls.mjs'

const QUEUES = ['AuditQueue', 'DeliveryQueue', 'ExportQueue']
const DEAD_LETTERS = [
  'AuditDeadLetterQueue',
  'DeliveryDeadLetterQueue',
  'ExportDeadLetterQueue',
  'ProjectDeadLetterQueue',
  'RelayDeadLetterQueue'
]
const EXTERNAL_ID = 'bt:acme:p1:s1'
const rule = BUS.replace('event-bus/', 'rule/') + '/demo-auditrule'
const key = 'destinations/0000.json'

export const STRANGE_CALLS = [
  // Rights of its own or of others.
  ['CreateRole', 'AttachRolePolicy', 'PutRolePolicy', 'UpdateAssumeRolePolicy', 'PassRole'].map(
    (action) => request(`iam:${action}`, PRINCIPAL)
  ),
  request('iam:CreateAccessKey', user().caller),
  // Customers' accounts, other than through the principal, and with their ExternalId.
  assumeCustomers(),
  assumeCustomers(EXTERNAL_ID),
  assumeNeighbours(),
  assume(OWN_EXPORTS, EXTERNAL_ID),
  assume(OWN_EXPORTS),
  assume(PRINCIPAL),
  customersObject('s3:PutObject', 'audit/f.jsonl.gz'),
  customersObject('s3:GetObject', 'audit/f.jsonl.gz'),
  // The log is written once, and only time deletes it.
  erase(LOG, 'log/00000000000000000001.seg'),
  erase(LOG, 'head.json'),
  erase(LOG, 'parked/date=2026-05-12/a.jsonl'),
  get(LOG, 'parked/date=2026-05-12/a.jsonl'),
  put(LOG, 'other.json'),
  // Documents of the state: only those that a role's own file names.
  erase(STATE, key),
  put(STATE, 'other.json'),
  get(STATE, 'other.json'),
  put(STATE, 'provisioning/settings.json'),
  request('s3:DeleteObjectVersion', `${STATE}/${key}`),
  request('s3:GetObjectVersion', `${STATE}/${key}`),
  [LOG, STATE].flatMap((bucket) =>
    [
      'DeleteBucket',
      'DeleteBucketPolicy',
      'ListBucketVersions',
      'PutBucketNotification',
      'PutBucketPolicy',
      'PutBucketVersioning',
      'PutLifecycleConfiguration'
    ].map((action) => request(`s3:${action}`, bucket))
  ),
  // Other buses; what others are told of.
  tell(OTHER_BUS),
  tell(DEFAULT_BUS),
  ['DeleteRule', 'DisableRule', 'PutRule', 'PutTargets'].map((action) =>
    request(`events:${action}`, rule)
  ),
  // Secrets: only those that a role's own file names.
  secret(parameter('/other')),
  secret(parameter('/customers/keys-of-others/acme/acme-audit')),
  secret(parameter('/customers/keys')),
  request('ssm:GetParametersByPath', parameter('/customers/keys')),
  request('ssm:GetParameterHistory', ACCESS_KEYS),
  [API_KEY, SERVICE_TOKEN, ACCESS_KEYS].flatMap((arn) =>
    ['DeleteParameter', 'GetParameters', 'PutParameter'].map((action) =>
      request(`ssm:${action}`, arn)
    )
  ),
  // Queues, functions and logs that are not its own.
  QUEUES.map(send),
  QUEUES.map(consume),
  DEAD_LETTERS.map(consume),
  [...QUEUES, ...DEAD_LETTERS].flatMap((id) =>
    ['DeleteQueue', 'PurgeQueue', 'SetQueueAttributes'].map((action) =>
      request(`sqs:${action}`, queue(id))
    )
  ),
  invoke('audit-writer'),
  ['AddPermission', 'UpdateFunctionCode', 'UpdateFunctionConfiguration'].map((action) =>
    request(`lambda:${action}`, lambda('audit-writer'))
  ),
  logs('another')
]

export const STRANGE_CALLERS = [
  ['apigateway', 'ec2', 'events', 'lambda', 's3', 'scheduler'].map((own) => service(own)),
  // A schedule of another account, that names a role of ours.
  service('scheduler', STRANGER),
  user(),
  user(STRANGER),
  session(role('anything')),
  session(role('anything'), { 'sts:ExternalId': EXTERNAL_ID }),
  // The principal, with what is no ExternalId of the organization's exports.
  ['bt:other:p1:s1', 'bt:acme-other:p1:s1', 'bt:acme', 'BT:ACME:p1:s1', 'sealift-probe-wrong'].map(
    (externalId) => session(PRINCIPAL, { 'sts:ExternalId': externalId })
  ),
  // Names are no proof: roles of other accounts that are called like ours.
  ['entering', 'demo-audit-delivery', 'demo-interval-export', 'demo-control-api'].flatMap((own) => [
    session(role(own, STRANGER)),
    session(role(own, STRANGER), { 'sts:ExternalId': EXTERNAL_ID })
  ]),
  // And one of ours that is called almost like one that is let in.
  session(role('demo-audit-delivery-2')),
  session(role('path/demo-audit-delivery')),
  session(CUSTOMERS_ROLE)
]
