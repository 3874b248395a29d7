import {
  ACCESS_KEYS,
  API_KEY,
  LAMBDA,
  LOG,
  PRINCIPAL,
  SERVICE_TOKEN,
  STATE,
  assume,
  document,
  erase,
  get,
  list,
  observed,
  put,
  schedule,
  secret,
  send,
  tell
} from '../calls.mjs'

const CURSOR = 'relay/acme.json'

export default {
  AuditRelayRole: {
    lets: LAMBDA,
    makes: [
      document(STATE, CURSOR),
      secret(API_KEY),
      tell(),
      // Entries that the bus cannot take. Nothing is read there: a key says what its object holds.
      put(LOG, 'parked/date=2026-05-12/a.jsonl'),
      send('RelayDeadLetterQueue'),
      observed('audit-relay')
    ],
    never: [
      list(LOG),
      get(LOG, 'head.json'),
      put(LOG, 'head.json'),
      get(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'log/00000000000000000001.seg'),
      get(STATE, 'destinations/0000.json'),
      put(STATE, 'destinations/0000.json'),
      put(STATE, 'delivery/0000.json'),
      put(STATE, 'exports/cursors/a1.json'),
      erase(STATE, CURSOR),
      secret(ACCESS_KEYS),
      secret(SERVICE_TOKEN),
      assume(PRINCIPAL)
    ]
  },
  RelayScheduleRole: schedule('audit-relay', 'RelayDeadLetterQueue')
}
