// The one role that enters customers' accounts.

import {
  ACCESS_KEYS,
  LOG,
  OWN_EXPORTS,
  PRINCIPAL,
  STATE,
  assume,
  assumeCustomers,
  customersObject,
  get,
  list,
  put,
  role,
  secret,
  session,
  tell
} from '../calls.mjs'

const EXTERNAL_IDS = ['bt:acme:p1:s1', 'a'.repeat(64)]

export default {
  PrincipalRole: {
    // Those that deliver to customers or check whether they can. Neither audit-writer,
    // audit-relay, export-dispatch nor project-fanout.
    lets: ['audit-delivery', 'interval-export', 'destination-check', 'control-api'].map((own) =>
      session(role(`demo-${own}`))
    ),
    makes: [
      EXTERNAL_IDS.map(assumeCustomers),
      // The stack's own bucket is entered in the same way.
      assume(OWN_EXPORTS, 'bt:acme:p1:s1')
    ],
    never: [
      // Even a role that would let anybody of our account in.
      assumeCustomers(),
      assume(OWN_EXPORTS),
      assume(OWN_EXPORTS, 'bt:other:p1:s1'),
      assume(OWN_EXPORTS, 'bt:acme-other:p1:s1'),
      // Not back into the functions' roles.
      assume(role('demo-audit-delivery'), 'bt:acme:p1:s1'),
      assume(PRINCIPAL, 'bt:acme:p1:s1'),
      // Objects are written by the sessions of customers' roles.
      customersObject('s3:PutObject', 'audit/f.jsonl.gz'),
      list(STATE),
      get(STATE, 'destinations/0000.json'),
      put(STATE, 'destinations/0000.json'),
      list(LOG),
      get(LOG, 'log/00000000000000000001.seg'),
      secret(ACCESS_KEYS),
      tell()
    ]
  }
}
