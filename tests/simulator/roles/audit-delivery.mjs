import {
  ACCESS_KEYS,
  API_KEY,
  LAMBDA,
  LOG,
  PRINCIPAL,
  STATE,
  assume,
  consume,
  document,
  erase,
  get,
  list,
  load,
  observed,
  put,
  request,
  schedule,
  secret,
  send,
  tell
} from '../calls.mjs'

export const SHARD = 'delivery/0000.json'
export const LEFT = 'delivery/0000/left/acme-audit-1.json'
export const REPLAY = 'delivery/0000/replays/acme-audit-3d4e5f60718293a4.json'

export default {
  AuditDeliveryRole: {
    lets: LAMBDA,
    makes: [
      consume('DeliveryQueue'),
      // Whose calls by the schedule fail to the last.
      send('DeliveryDeadLetterQueue'),
      // The log: what it holds, and the floor, which is raised over what is planned.
      document(LOG, 'head.json'),
      list(LOG),
      get(LOG, 'log/00000000000000000001.seg'),
      load(STATE, 'destinations/0000.json'),
      document(STATE, SHARD),
      document(STATE, LEFT),
      erase(STATE, LEFT),
      document(STATE, REPLAY),
      // Into customers' buckets.
      secret(ACCESS_KEYS),
      assume(PRINCIPAL),
      // Warnings of what will expire.
      tell(),
      observed('audit-delivery')
    ],
    never: [
      put(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'parked/date=2026-05-12/a.jsonl'),
      put(STATE, 'destinations/0000.json'),
      put(STATE, 'destinations/records/acme-audit.json'),
      // A cursor that is gone would begin anew.
      erase(STATE, SHARD),
      erase(STATE, REPLAY),
      get(STATE, 'exports/cursors/a1.json'),
      get(STATE, 'relay/acme.json'),
      request('ssm:PutParameter', ACCESS_KEYS),
      request('ssm:DeleteParameter', ACCESS_KEYS),
      secret(API_KEY),
      send('AuditDeadLetterQueue')
    ]
  },
  DeliveryScheduleRole: schedule('audit-delivery', 'DeliveryDeadLetterQueue')
}
