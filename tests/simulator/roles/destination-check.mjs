import {
  ACCESS_KEYS,
  API_KEY,
  LAMBDA,
  LOG,
  PRINCIPAL,
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
  schedule,
  secret,
  send,
  tell
} from '../calls.mjs'
import { LEFT, REPLAY, SHARD } from './audit-delivery.mjs'
import { OUTBOX } from './control-api.mjs'

export default {
  DestinationCheckRole: {
    lets: LAMBDA,
    makes: [
      // All destinations, and what is remembered of each; changes that were cut off are finished.
      list(STATE),
      document(STATE, 'destinations/0000.json'),
      document(STATE, 'destinations/records/acme-audit.json'),
      document(STATE, 'destinations/places/0123456789abcdef0123456789abcdef.json'),
      document(STATE, REPLAY),
      // What a destination leaves behind whose removal was cut off.
      erase(STATE, REPLAY),
      erase(STATE, LEFT),
      request('ssm:DeleteParameter', ACCESS_KEYS),
      // What others left untold.
      load(STATE, OUTBOX),
      erase(STATE, OUTBOX),
      // The checks, by the very code that delivers.
      secret(ACCESS_KEYS),
      assume(PRINCIPAL),
      tell(),
      send('DeliveryDeadLetterQueue'),
      observed('destination-check')
    ],
    never: [
      // Nobody gives it keys that it could store.
      request('ssm:PutParameter', ACCESS_KEYS),
      secret(API_KEY),
      get(STATE, SHARD),
      put(STATE, SHARD),
      erase(STATE, SHARD),
      put(STATE, LEFT),
      put(STATE, OUTBOX),
      erase(STATE, 'destinations/records/acme-audit.json'),
      get(STATE, 'exports/automations/a1.json'),
      list(LOG),
      get(LOG, 'head.json'),
      get(LOG, 'log/00000000000000000001.seg'),
      put(LOG, 'head.json')
    ]
  },
  CheckScheduleRole: schedule('destination-check', 'DeliveryDeadLetterQueue')
}
