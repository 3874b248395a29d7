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
  load,
  observed,
  put,
  request,
  secret,
  send,
  tell
} from '../calls.mjs'
import { LEFT, REPLAY, SHARD } from './audit-delivery.mjs'

/** An audit entry that is not told yet. */
export const OUTBOX = 'outbox/1763712000000-0123456789abcdef0123456789abcdef.json'

export default {
  ControlApiRole: {
    lets: LAMBDA,
    makes: [
      // Destinations are created, changed and removed.
      list(STATE),
      document(STATE, 'destinations/0000.json'),
      document(STATE, 'destinations/records/acme-audit.json'),
      document(STATE, 'destinations/places/0123456789abcdef0123456789abcdef.json'),
      document(STATE, REPLAY),
      erase(STATE, REPLAY),
      erase(STATE, LEFT),
      ['DeleteParameter', 'PutParameter'].map(action => request(`ssm:${action}`, ACCESS_KEYS)),
      // How far deliveries are, and where the log ends; of its segments nothing is read.
      load(STATE, SHARD),
      load(STATE, LEFT),
      load(LOG, 'head.json'),
      list(LOG),
      // Automations, by Braintrust's own requests: created, changed, registered and removed.
      document(STATE, 'exports/automations/a1.json'),
      erase(STATE, 'exports/automations/a1.json'),
      document(STATE, 'exports/cursors/a1.json'),
      document(STATE, 'exports/timetable/0000.json'),
      // What is told of that is written down before it is done, and is gone when it is told.
      document(STATE, OUTBOX),
      erase(STATE, OUTBOX),
      // The checks, by the very code that delivers.
      secret(ACCESS_KEYS),
      assume(PRINCIPAL),
      tell(),
      observed('control-api')
    ],
    never: [
      secret(API_KEY),
      secret(SERVICE_TOKEN),
      put(STATE, SHARD),
      erase(STATE, SHARD),
      put(STATE, LEFT),
      erase(STATE, 'destinations/0000.json'),
      erase(STATE, 'destinations/records/acme-audit.json'),
      // A cursor outlives its automation; the budget is the dispatcher's.
      erase(STATE, 'exports/cursors/a1.json'),
      erase(STATE, 'exports/timetable/0000.json'),
      put(STATE, 'exports/budget.json'),
      put(STATE, 'provisioning/settings.json'),
      put(STATE, 'provisioning/ledger.json'),
      get(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'head.json'),
      get(LOG, 'parked/date=2026-05-12/a.jsonl'),
      send('AuditQueue')
    ]
  }
}
