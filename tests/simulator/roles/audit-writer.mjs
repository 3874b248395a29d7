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
  get,
  list,
  observed,
  put,
  secret,
  send,
  tell
} from '../calls.mjs'

const SEGMENT = 'log/00000000000000000001.seg'

export default {
  AuditWriterRole: {
    lets: LAMBDA,
    makes: [
      consume('AuditQueue'),
      document(LOG, 'head.json'),
      // Where the log ends; then the next number, and whether one that is taken is its own.
      list(LOG),
      put(LOG, SEGMENT),
      get(LOG, SEGMENT),
      put(LOG, 'parked/date=2026-05-12/a.jsonl'),
      observed('audit-writer')
    ],
    never: [
      tell(),
      send('AuditDeadLetterQueue'),
      list(STATE),
      get(STATE, 'destinations/0000.json'),
      put(STATE, 'delivery/0000.json'),
      secret(ACCESS_KEYS),
      secret(API_KEY),
      assume(PRINCIPAL)
    ]
  }
}
