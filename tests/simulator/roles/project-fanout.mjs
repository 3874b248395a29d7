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
  list,
  load,
  observed,
  put,
  schedule,
  secret,
  send,
  tell
} from '../calls.mjs'

export default {
  ProjectFanoutRole: {
    lets: LAMBDA,
    makes: [
      load(STATE, 'provisioning/settings.json'),
      document(STATE, 'provisioning/ledger.json'),
      // The automations that this stack runs by itself.
      document(STATE, 'exports/automations/a1.json'),
      document(STATE, 'exports/cursors/a1.json'),
      document(STATE, 'exports/timetable/0000.json'),
      // Those that Braintrust's data plane runs.
      secret(API_KEY),
      secret(SERVICE_TOKEN),
      tell(),
      send('ProjectDeadLetterQueue'),
      observed('project-fanout')
    ],
    never: [
      // An operator's alone.
      put(STATE, 'provisioning/settings.json'),
      erase(STATE, 'provisioning/ledger.json'),
      erase(STATE, 'exports/automations/a1.json'),
      put(STATE, 'exports/budget.json'),
      put(STATE, 'destinations/0000.json'),
      list(LOG),
      put(LOG, 'head.json'),
      secret(ACCESS_KEYS),
      // Whoever enters customers' accounts is somebody else.
      assume(PRINCIPAL)
    ]
  },
  SweepScheduleRole: schedule('project-fanout', 'ProjectDeadLetterQueue')
}
