import {
  ACCESS_KEYS,
  API_KEY,
  LAMBDA,
  LOG,
  PRINCIPAL,
  SERVICE_TOKEN,
  STATE,
  assume,
  consume,
  document,
  erase,
  get,
  list,
  observed,
  put,
  secret,
  send,
  tell
} from '../calls.mjs'

export default {
  IntervalExportRole: {
    lets: LAMBDA,
    makes: [
      consume('ExportQueue'),
      // Paused and resumed.
      document(STATE, 'exports/automations/a1.json'),
      document(STATE, 'exports/cursors/a1.json'),
      document(STATE, 'exports/timetable/0000.json'),
      secret(API_KEY),
      assume(PRINCIPAL),
      tell(),
      observed('interval-export')
    ],
    never: [
      get(STATE, 'exports/budget.json'),
      put(STATE, 'exports/budget.json'),
      erase(STATE, 'exports/automations/a1.json'),
      erase(STATE, 'exports/cursors/a1.json'),
      get(STATE, 'destinations/0000.json'),
      put(STATE, 'provisioning/ledger.json'),
      list(LOG),
      get(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'head.json'),
      // Exports go by roles alone.
      secret(ACCESS_KEYS),
      secret(SERVICE_TOKEN),
      send('ExportQueue')
    ]
  }
}
