// The stack's own bucket for exports, which is entered as a customer's is.

import {
  EXPORTS,
  LOG,
  OWN_ORGANIZATION,
  PRINCIPAL,
  STATE,
  assumeCustomers,
  erase,
  get,
  list,
  put,
  request,
  session
} from '../calls.mjs'

const FILE = 'p1/date=2026-05-12/hour=23/a.parquet'

export default {
  ExportRole: {
    lets: [`bt:${OWN_ORGANIZATION}:p1:s1`, `bt:${OWN_ORGANIZATION}:p2:s2`].map((externalId) =>
      session(PRINCIPAL, { 'sts:ExternalId': externalId })
    ),
    makes: [
      put(EXPORTS, FILE),
      request('s3:AbortMultipartUpload', `${EXPORTS}/${FILE}`),
      put(EXPORTS, 'p1/_sealift-test.txt'),
      erase(EXPORTS, 'p1/_sealift-test.txt')
    ],
    never: [
      get(EXPORTS, FILE),
      erase(EXPORTS, FILE),
      list(EXPORTS),
      request('s3:PutObjectAcl', `${EXPORTS}/${FILE}`),
      request('s3:DeleteBucket', EXPORTS),
      put(LOG, 'head.json'),
      put(STATE, FILE),
      assumeCustomers('bt:acme:p1:s1')
    ]
  }
}
