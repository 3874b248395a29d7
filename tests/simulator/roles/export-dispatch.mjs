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

export default {
  ExportDispatchRole: {
    lets: LAMBDA,
    makes: [
      document(STATE, 'exports/timetable/0000.json'),
      document(STATE, 'exports/budget.json'),
      // Asking the API what is new.
      secret(API_KEY),
      tell(),
      send('ExportDeadLetterQueue'),
      observed('export-dispatch')
    ],
    never: [
      get(STATE, 'exports/automations/a1.json'),
      put(STATE, 'exports/automations/a1.json'),
      put(STATE, 'exports/cursors/a1.json'),
      erase(STATE, 'exports/timetable/0000.json'),
      get(STATE, 'destinations/0000.json'),
      list(LOG),
      get(LOG, 'head.json'),
      put(LOG, 'head.json'),
      secret(ACCESS_KEYS),
      secret(SERVICE_TOKEN),
      assume(PRINCIPAL),
      send('ExportQueue')
    ]
  },
  ExportScheduleRole: schedule('export-dispatch', 'ExportDeadLetterQueue')
}
